"""The directory that a device remembers things in, and who may use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.state import held, made, state_path

HOLD = """
import sys
from pathlib import Path
from gateway.state import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_it_is_the_chosen_one_or_systemd_s_or_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_path("bbb1", None) == tmp_path / "headwater" / "bbb1"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/headwater")
    assert state_path("bbb1", None) == Path("/var/lib/headwater")
    assert state_path("bbb1", tmp_path) == tmp_path


def test_it_is_made_or_it_is_said_why_not(tmp_path: Path) -> None:
    assert made(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"device.state: cannot make .*/file/b: Not a directory"):
        made(tmp_path / "file" / "b")


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(ConfigError, match="is in use by another device"), held(tmp_path):
        pass
    with held(tmp_path):
        assert list(tmp_path.iterdir()) == [], "it takes no file"


def test_another_process_is_refused_too_and_its_death_frees_the_directory(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match="is in use by another device"), held(tmp_path):
            pass
        other.kill()
        other.wait()
    with held(tmp_path):
        pass
