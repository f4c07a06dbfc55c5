"""The card's user space in a container: systemd-nspawn boots it on this computer's kernel, through qemu-user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until
from tests.vm.login import Login

BOOT_S = 600.0
HOST, GUEST = "192.0.2.1", "192.0.2.2"
"""TEST-NET-1 (RFC 5737): nothing else has these."""


class Container:
    """Its root is a tree from the card's archive, with the changes in a folder of their own."""

    def __init__(self, folder: Path, tar: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.login = Login(GUEST)
        self._tar = tar
        self._link = f"hw{os.getpid() % 100000}"
        self._process: RunningProcess | None = None

    def __enter__(self) -> Self:
        self.root.mkdir()
        _run(
            "tar", "-x", "--numeric-owner", "--xattrs-include=*", "-p", "-f", str(self._tar), "-C", str(self.root)
        )
        try:
            _run("ip", "netns", "add", self._link)
            _run("ip", "link", "add", self._link, "type", "veth", "peer", "name", "hw0", "netns", self._link)
            _run("ip", "address", "add", f"{HOST}/30", "dev", self._link)
            _run("ip", "link", "set", self._link, "up")
            _run("ip", "-n", self._link, "address", "add", f"{GUEST}/30", "dev", "hw0")
            for device in ("hw0", "lo"):
                _run("ip", "-n", self._link, "link", "set", device, "up")
            self._boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            try:
                self._process.terminate(60)
            finally:
                self._process.__exit__(None, None, None)
                wait_until(self._empty, "the end of the container's processes", 60)
        subprocess.run(["ip", "link", "delete", self._link], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "delete", self._link], capture_output=True, check=False)

    def _boot(self) -> None:
        flags = ("--register=no", "--keep-unit", "--boot", "--console=pipe", "--quiet", "--link-journal=no")
        place = (
            "-D",
            str(self.root),
            f"--machine={self._link}",
            f"--network-namespace-path=/run/netns/{self._link}",
        )
        self._process = RunningProcess(["systemd-nspawn", *place, *flags])
        process = self._process
        wait_until(lambda: self.login.works() or not process.running, "a login in the container", BOOT_S)
        assert process.running, process

    def _empty(self) -> bool:
        """Whether no process has its root in the container any more."""
        return str(self.root) not in {_root_of(process) for process in Path("/proc").glob("[0-9]*")}


def _root_of(process: Path) -> str:
    try:
        return str((process / "root").readlink())
    except OSError:
        return ""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
