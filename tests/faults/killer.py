"""Killing processes at random moments that a seed fixes, and starting them again."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

Start = Callable[[], subprocess.Popen[bytes]]
"""Starts the process, and returns when it may be killed."""

PATIENCE_S = 20.0
"""How long a process may take to end after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill, for the record."""

    at_s: float
    """time.monotonic()."""
    pid: int
    signal: signal.Signals
    returncode: int


class Killer:
    """One process at a time: started by `start`, killed, started again; dead when the block ends.

    `kill()` kills it once; `run()` goes on doing that in a thread until `stop()`. Only the process that was
    started here is ever signalled, by its id.
    """

    def __init__(
        self,
        start: Start,
        *,
        seed: int,
        signals: Sequence[signal.Signals] = (signal.SIGKILL,),
        alive_s: tuple[float, float] = (0.1, 1.0),
        dead_s: tuple[float, float] = (0.0, 0.5),
    ) -> None:
        """`alive_s` and `dead_s`: the shortest and longest time that it lives and stays dead."""
        self._start = start
        self._choose = random.Random(seed)
        self._signals = signals
        self._alive_s = alive_s
        self._dead_s = dead_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.kills: list[Kill] = []
        self.process = start()

    def kill(self) -> Kill:
        """Kill it and wait for its end; returns what was done. It is not started again."""
        how = self._choose.choice(self._signals)
        at = time.monotonic()
        self.process.send_signal(how)
        kill = Kill(at, self.process.pid, how, self._end())
        self.kills.append(kill)
        return kill

    def restart(self) -> subprocess.Popen[bytes]:
        """Start it again, after it was killed."""
        self.process = self._start()
        return self.process

    def run(self, times: int | None = None) -> None:
        """Kill and restart it in a thread, so many times or until `stop()`."""
        self._thread = threading.Thread(target=self._run, args=(times,), name="killer")
        self._thread.start()

    def join(self) -> None:
        """Wait until it was killed as often as was asked for."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Kill no more; the process lives."""
        self._stop.set()
        self.join()

    def _run(self, times: int | None) -> None:
        done = 0
        while times is None or done < times:
            if self._stop.wait(self._choose.uniform(*self._alive_s)):
                return
            self.kill()
            done += 1
            self._stop.wait(self._choose.uniform(*self._dead_s))
            self.restart()

    def _end(self) -> int:
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
