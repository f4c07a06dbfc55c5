"""A machine of plain files, for checks that look at `/proc`, `/sys`, `/dev` and `/etc`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.doctor import Machine

NOBODY = 65534


class StandIn:
    """The files below a folder, and the machine that they make."""

    def __init__(self, root: Path) -> None:
        self.machine = Machine(root)

    def write(self, path: str, content: str | bytes) -> Path:
        """Make a file of the machine."""
        place = self.machine.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return place

    def link(self, path: str, target: str) -> Path:
        """Make a symbolic link."""
        place = self.machine.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
        return place

    def run(self, pid: int, *command: str, files: Sequence[str] = ()) -> None:
        """Let a process run that has these files open."""
        self.write(f"/proc/{pid}/cmdline", "\0".join(command) + "\0")
        self.write(f"/proc/{pid}/comm", Path(command[0]).name[:15] + "\n")
        for number, file in enumerate(files):
            self.link(f"/proc/{pid}/fd/{number}", file)


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Without root's rights for a while, if the tests have them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
