"""The tests for hardware, on a machine that has none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hw_tests.conftest import MODEL, why_not_here

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(
    MODEL.exists() and why_not_here() is None, reason="this is a BeagleBone: hw_tests run by themselves"
)
def test_they_all_skip_here_and_say_why() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "hw_tests"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "no BeagleBone here: " in ran.stdout
    assert " skipped" in ran.stdout.splitlines()[-1]
    assert "passed" not in ran.stdout


def test_they_run_on_every_beaglebone(tmp_path: Path) -> None:
    model = tmp_path / "model"
    for name in ("TI AM335x BeagleBone Black", "TI AM335x BeagleBone Green Wireless", "TI AM335x PocketBeagle"):
        model.write_bytes(name.encode() + b"\0")
        assert why_not_here(model) is None


def test_another_board_is_named(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"Raspberry Pi 4 Model B\0")
    assert why_not_here(model) == "no BeagleBone here: the device tree's model is 'Raspberry Pi 4 Model B'"
