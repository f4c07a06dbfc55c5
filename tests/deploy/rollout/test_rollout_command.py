"""`python -m deploy.rollout`, as far as it goes without a board."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.rollout.updater import build_updater
from tests.support.ports import free_port
from tests.support.processes import ROOT


def rollout(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.rollout", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["--host", "a", "--hosts", "b"]])
def test_without_a_board_or_with_two_ways_to_name_them_it_says_how(arguments: list[str]) -> None:
    said = rollout(*arguments)
    assert said.returncode == 2
    assert said.stderr == (
        "deploy: which board? make deploy HOST=debian@192.168.7.2, or HOSTS=file with one a line\n"
    )


def test_a_key_is_made_once_and_a_board_that_is_away_is_exit_code_1(tmp_path: Path) -> None:
    arguments = ("--host", f"ssh://127.0.0.1:{free_port()}", "--packages", tmp_path, "--key", tmp_path / "key")
    first = rollout(*arguments)
    assert first.returncode == 1, first
    assert "made a key to sign updates with" in first.stdout
    assert "unreachable  it is there and takes no ssh connections" in first.stdout
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert "made a key" not in rollout(*arguments).stdout


def test_a_package_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_text("no package")
    said = rollout("--host", "a", "--packages", tmp_path, "--key", tmp_path / "key")
    assert said.returncode == 2
    assert "x.deb: is no Debian package" in said.stderr


def test_help_has_examples() -> None:
    assert "make deploy HOSTS=boards.txt" in rollout("--help").stdout


def test_the_boards_program_is_the_same_bytes_each_time_and_runs_with_debians_python_alone(tmp_path: Path) -> None:
    program = tmp_path / "headwater-update"
    program.write_bytes(build_updater())
    assert build_updater() == program.read_bytes()
    assert zipfile.is_zipfile(program)
    ran = subprocess.run(
        ["/usr/bin/python3", "-I", program, "--help"], capture_output=True, text=True, check=False
    )
    assert "exit codes: 0 done, 1 rolled back, 2 refused: nothing was changed" in ran.stdout
