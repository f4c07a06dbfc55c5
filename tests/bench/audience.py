"""The process of `readers`, as a benchmark sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from tests.bench.publishers import message
from tests.bench.serving import Served


class Audience:
    """So many clients of a server, connected while the block lasts; they get its stream, or another topic."""

    def __init__(self, served: Served, count: int, frames: int, topic: str | None = None) -> None:
        self._name = served.subject.name
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.bench.readers", served.subject.flavour, str(served.port)),
                *(topic or served.topic, str(count), str(len(message(0, frames)))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._line() != "ready\n":
            raise RuntimeError(f"{self._name}: the clients could not connect")

    def begin(self) -> None:
        """Have them count from now on."""
        self._say("begin")

    def report(self) -> dict[str, Any]:
        """What came since: see `readers`."""
        self._say("report")
        found: dict[str, Any] = json.loads(self._line())
        return found

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
