"""A board with a memory and a disk of its own: when its power is cut, what was not on disk yet is gone."""

from __future__ import annotations

import shutil
import subprocess
from types import TracebackType
from typing import Self

from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until
from tests.vm.nspawn import Board

BOOT_S = 900.0
"""Emulated, on a busy machine."""
SIZE = "3G"
NETWORK = "[Match]\nType=ether\n[Network]\nDHCP=ipv4\n"


class BootableBoard(Board):
    """One with a kernel of its own, though it runs on this machine's."""

    packages = (*Board.packages, "linux-image-cloud-amd64")


class VirtualBoard(BootableBoard):
    """A board like another one, in qemu. It is slow: what can be done before is better done on the other."""

    connect_s = 60
    command_s = 1200.0

    def __enter__(self) -> Self:
        self._mount()
        try:
            self._prepare()
            self._make_disk()
        finally:
            self._unmount()
        self.switch_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut_power()

    @property
    def disk(self) -> str:
        """Its disk's file."""
        return str(self.folder / "disk.img")

    def switch_on(self) -> None:
        """Boot, and wait until one can log in."""
        machine = [
            "-machine",
            "q35,accel=tcg",
            "-cpu",
            "max",
            "-m",
            "768",
            "-smp",
            "2",
            "-nographic",
            "-no-reboot",
        ]
        kernel = ["-kernel", f"{self.folder}/vmlinuz", "-initrd", f"{self.folder}/initrd.img"]
        disk = ["-drive", f"file={self.disk},format=raw,if=virtio,cache=writeback"]
        network = ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{self.port}-:22"]
        words = ["-append", "root=/dev/vda rw console=ttyS0 quiet"]
        process = RunningProcess(["qemu-system-x86_64", *machine, *kernel, *disk, *network, *words])
        self._process = process
        wait_until(lambda: self.try_ssh("true")[0] == 0 or not process.running, "a login on the board", BOOT_S)
        assert process.running, process

    def cut_power(self) -> None:
        """Its memory is gone."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
            self._process = None

    def _make_disk(self) -> None:
        self.path("etc/fstab").write_text("/dev/vda / ext4 errors=remount-ro 0 1\n")
        self.path("etc/systemd/network/board.network").write_text(NETWORK)
        subprocess.run(["systemctl", f"--root={self.root}", "enable", "systemd-networkd"], check=True, stderr=-3)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile(self.root / (self.root / name).readlink(), self.folder / name)
        made = ["mke2fs", "-q", "-t", "ext4", "-d", str(self.root), self.disk, SIZE]
        subprocess.run(made, check=True, stdout=-3)

    def _listening(self) -> str:
        return "Port 22\n"
