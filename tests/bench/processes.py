"""Processes of a benchmark: started, measured by the operating system, ended with the block."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

START_S = 20.0


class Part:
    """One process, ended with the block."""

    def __init__(self, *command: str, log: Path | None = None) -> None:
        self._log = log.open("wb") if log is not None else None
        output = self._log or subprocess.DEVNULL
        self._command = " ".join(command)
        self._process = subprocess.Popen(command, stdout=output, stderr=output)
        self.about = psutil.Process(self._process.pid)

    def cpu_s(self) -> float:
        """User and system time so far, to the nanosecond: the first field of each thread's schedstat (proc(5))."""
        tasks = Path(f"/proc/{self.about.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9

    def memory_bytes(self) -> int:
        """Resident memory."""
        return int(self.about.memory_info().rss)

    def own_memory_bytes(self) -> int:
        """What it has allocated: anonymous memory, of which no other process can take a share (proc(5))."""
        rollup = Path(f"/proc/{self.about.pid}/smaps_rollup").read_text(encoding="ascii")
        return 1024 * int(rollup.partition("\nAnonymous:")[2].split()[0])

    def wait_for_port(self, port: int) -> None:
        """Return when the port listens; raises RuntimeError if it does not, or the process ended."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self._command}: does not listen on port {port}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._log is not None:
            self._log.close()
