"""A whole board in QEMU: the card's own kernel, initial RAM disk and file systems on an emulated processor.

QEMU has no AM335x, so the machine is `virt`, and the kernel is loaded by QEMU; all behind that is the card's.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.image.layout import MIB
from tests.support.ports import free_port
from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until
from tests.vm.image.login import Login

BOOT_S = 600.0
"""It takes a minute on two idle cores."""
MEMORY_MB = 512
CARD_SIZE = 3072 * MIB
HOST = "10.0.2.100"
"""Where the board sees this computer's broker."""
MQTTS = 8883


class Board:
    """A board with a card (and perhaps an eMMC) in it. What is on these outlives the board."""

    def __init__(
        self,
        folder: Path,
        *disks: Path,
        boot: Path,
        append: str,
        broker: int | None = None,
        extra: str = "",
        clock: str | None = None,
    ) -> None:
        """`boot` has the kernel and the RAM disk, or is a bootloader that finds them on the first disk.

        `broker` is a port of this computer that the board can reach; `clock` is what its clock says at the start.
        """
        self.folder = folder
        self.port, self.relay_port = free_port(), free_port()
        self.login = Login("127.0.0.1", self.port)
        self._disks = disks
        self._boot = boot
        self._append = f"{on_virt(append)} {extra}"
        self._broker = broker
        self._clock = clock
        self._process: RunningProcess | None = None

    @property
    def console(self) -> str:
        """What it has written to its serial console since it was switched on."""
        return (self.folder / "console.log").read_text(errors="replace")

    def switch_on(self, wait: bool = True) -> None:
        """Start it, and wait until one can log in."""
        self._process = RunningProcess(self._command())
        if wait:
            self.wait_for_login()

    def wait_for_login(self, timeout: float = BOOT_S) -> None:
        """Wait until one can log in; the end of its console if one cannot."""
        try:
            wait_until(self._ready, "a login", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console[-3000:]}") from None

    def cut_power(self) -> None:
        """Kill it: nothing is written any more that was not."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
            self._process = None

    def press_power_button(self) -> None:
        """As a person does, for a moment."""
        with socket.socket(socket.AF_UNIX) as machine:
            machine.connect(str(self._machine))
            answers = machine.makefile()
            answers.readline()  # its greeting
            for command in ("qmp_capabilities", "system_powerdown"):
                machine.sendall(json.dumps({"execute": command}).encode())
                answers.readline()

    def restart(self) -> None:
        """As `reboot` does."""
        before = self.login.run("cat /proc/sys/kernel/random/boot_id")
        self.login.attempt("systemctl reboot")
        wait_until(lambda: self._booted_since(before), "a restart", BOOT_S)

    def wait_until_off(self, timeout: float = BOOT_S) -> None:
        """Wait until it has switched itself off."""
        assert self._process is not None
        self._process.wait(timeout)
        self.cut_power()

    def __enter__(self) -> Self:
        self.switch_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut_power()

    @property
    def _machine(self) -> Path:
        """Where QEMU listens (QMP)."""
        return self.folder / "qemu"

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.running, f"it switched itself off: {self._process}"
        return self.login.works()

    def _booted_since(self, before: str) -> bool:
        done = self.login.attempt("cat /proc/sys/kernel/random/boot_id", timeout=60)
        return done.returncode == 0 and done.stdout.strip() != before

    def _command(self) -> list[str]:
        # nothing but the broker can be reached from inside
        network = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"
        network += f",hostfwd=tcp:127.0.0.1:{self.relay_port}-:8080"
        if self._broker is not None:
            network += f",guestfwd=tcp:{HOST}:{MQTTS}-cmd:socat STDIO TCP4:127.0.0.1:{self._broker}"
        drives = []
        # the kernel finds the last one first
        for number, disk in reversed(list(enumerate(self._disks))):
            drives += ["-drive", f"file={disk},if=none,format=raw,id=disk{number},cache=writeback"]
            drives += ["-device", f"virtio-blk-device,drive=disk{number}"]
        start = ["-bios", str(self._boot)]
        if self._boot.is_dir():
            start = ["-kernel", str(self._boot / "vmlinuz"), "-initrd", str(self._boot / "initrd.gz")]
            start += ["-append", self._append]
        machine = ["-M", "virt", "-cpu", "cortex-a15", "-smp", "2", "-m", str(MEMORY_MB), "-display", "none"]
        return [
            "qemu-system-arm",
            *machine,
            *("-monitor", "none", "-qmp", f"unix:{self._machine},server=on,wait=off"),
            *("-serial", f"file:{self.folder / 'console.log'}"),
            *(("-rtc", f"base={self._clock}") if self._clock else ()),
            *start,
            *drives,
            *("-netdev", network, "-device", "virtio-net-device,netdev=net"),
        ]


def on_virt(append: str) -> str:
    """The kernel's command line with the console that QEMU's machine has."""
    return re.sub(r"console=\S+", "console=ttyAMA0", append)


def copy_card(image: Path, target: Path, size: int) -> Path:
    """A card of `size` bytes with the image on it."""
    subprocess.run(["cp", "--sparse=always", str(image), str(target)], check=True)
    with target.open("r+b") as card:
        card.truncate(size)
    return target
