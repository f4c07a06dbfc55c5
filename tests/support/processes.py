"""Processes that a test starts, reads and ends, each by its own id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]


class RunningProcess:
    """A process whose output goes to files, so that it is never held up by a reader."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.arguments = list(arguments)
        self._last_words: tuple[str, str] | None = None
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `__exit__`
        self._err = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            self.arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            cwd=ROOT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return self._last_words[0] if self._last_words else _content(self._out.fileno())

    @property
    def err(self) -> str:
        """Its standard error so far."""
        return self._last_words[1] if self._last_words else _content(self._err.fileno())

    def wait_for(self, text: str, timeout: float = PATIENCE_S) -> None:
        """Wait until it has written the text; fail at once if it ends without."""
        wait_until(lambda: text in self.out + self.err or not self.running, f"{text!r} from {self}", timeout)
        if text not in self.out + self.err:
            raise AssertionError(f"{self} ended without {text!r}")

    def wait(self, timeout: float = PATIENCE_S) -> int:
        """Wait until it ends; its exit code."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} did not end within {timeout:g} s") from None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def terminate(self, timeout: float = PATIENCE_S) -> int:
        """SIGTERM; its exit code."""
        self._process.terminate()
        return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL, if it still runs, and wait."""
        self._process.kill()
        self._process.wait()

    def __repr__(self) -> str:
        return f"{' '.join(self.arguments)} (exit code {self._process.poll()})\nout: {self.out}\nerr: {self.err}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._last_words = self.out, self.err  # pytest tells of a failure when all this has ended
        self._out.close()
        self._err.close()


class HeadwaterProcess(RunningProcess):
    """`headwater …` in a process, with a state directory of its own and no configuration but the test's."""

    def __init__(self, *arguments: str, state: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(
            [sys.executable, "-m", "gateway", *arguments],
            {**clean_environment(), "XDG_STATE_HOME": str(state), **(environment or {})},
        )


def clean_environment() -> dict[str, str]:
    """This process's environment without what Headwater would read from it."""
    read = ("HEADWATER", "STATE_DIRECTORY", "XDG_STATE_HOME", "NOTIFY_SOCKET", "WATCHDOG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(read)}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _content(file: int) -> str:
    # the child shares the file's position, so ours must not move it
    return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")
