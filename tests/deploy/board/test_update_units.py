"""How the updater talks to systemd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.board.headwater_update import units
from deploy.board.headwater_update.errors import UpdateError

SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>{folder}/asked
[ "$(wc -l <{folder}/asked)" -gt {failures} ] || {{ echo "Connection reset by peer" >&2; exit 1; }}
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemctl was asked; `fails` has one fail so often."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(units, "RELOAD_PAUSES_S", (0.0, 0.0))
    return tmp_path / "asked"


def fails(asked: Path, failures: int) -> None:
    systemctl = asked.with_name("systemctl")
    systemctl.write_text(SYSTEMCTL.format(folder=asked.parent, failures=failures))
    systemctl.chmod(0o755)


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_reload_that_another_one_cut_off_is_asked_for_again(asked: Path, failures: int) -> None:
    fails(asked, failures)
    units.reload()
    assert asked.read_text().splitlines() == ["daemon-reload"] * (failures + 1)


def test_a_reload_that_goes_on_failing_is_an_error_that_says_why(asked: Path) -> None:
    fails(asked, 99)
    with pytest.raises(UpdateError, match="Connection reset by peer"):
        units.reload()
