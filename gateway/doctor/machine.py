"""The machine's files below a root, so that a stand-in tree can take the machine's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MODEL_PATH = "/proc/device-tree/model"
"""What the machine calls itself; only machines that have a device tree."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine."""

    pid: int
    command: str

    @property
    def is_headwater(self) -> bool:
        """Whether it is one of ours, which may well hold what the configuration names."""
        program, *words = [Path(word).name for word in self.command.split()]
        if program.startswith("python"):
            return words[:1] == ["headwater"] or words[:2] == ["-m", "gateway"]
        return program == "headwater"

    def __str__(self) -> str:
        return f"{self.command:.60} (process {self.pid})"


@dataclass(frozen=True, slots=True)
class Machine:
    """Files and processes; `/` is this machine."""

    root: Path = Path("/")

    def at(self, path: str | Path) -> Path:
        """Where an absolute path of the machine is."""
        return self.root / str(path).lstrip("/")

    def text(self, path: str | Path) -> str | None:
        """A file's text; None if it cannot be read."""
        try:
            return self.at(path).read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return None

    def processes(self) -> Iterator[Process]:
        """All processes that have a command line: those of the kernel have none."""
        for folder in sorted(self.at("/proc").glob("[0-9]*")):
            command = self.text(f"/proc/{folder.name}/cmdline")
            if command:
                yield Process(int(folder.name), command)

    def running(self, names: frozenset[str]) -> str | None:
        """The first of the names that a process has, as the kernel knows it (15 characters); None if none does."""
        comms = (self.text(f"/proc/{folder.name}/comm") for folder in self.at("/proc").glob("[0-9]*"))
        return next((comm for comm in comms if comm in names), None)

    def holder(self, held: Callable[[str], bool]) -> Process | None:
        """A process that has a file open of which `held` is true, by what `/proc/<pid>/fd` links to.

        Files of other users' processes are seen by root only.
        """
        return next(
            (process for process in self.processes() if any(map(held, self._open_files(process.pid)))), None
        )

    def _open_files(self, pid: int) -> Iterator[str]:
        try:
            links = list(self.at(f"/proc/{pid}/fd").iterdir())
        except OSError:
            return
        for link in links:
            try:
                yield str(link.readlink())
            except OSError:
                continue  # closed meanwhile
