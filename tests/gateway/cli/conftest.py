"""Commands, run in this process as the `headwater` script runs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.cli import main


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    code: int
    out: list[str]
    err: list[str]


Cli = Callable[..., Result]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`cli("sub", "a/b")` is `headwater sub a/b`."""
    for name in ("HEADWATER_URL", "HEADWATER_LOG_FORMAT", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["headwater", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Result(code, captured.out.splitlines(), captured.err.splitlines())

    return run
