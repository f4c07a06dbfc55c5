"""What a new card samples until somebody says something else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deploy.image.parts import FIRST_CONFIGURATION
from gateway.config import DeviceConfig, load
from tests.deploy.image.programs import program


def test_headwater_takes_it() -> None:
    check = ["run", "--check", "--set", "device.board=simulated", str(FIRST_CONFIGURATION)]
    done = subprocess.run([sys.executable, "-m", "gateway", *check], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_it_is_named_after_the_board_and_publishes_to_the_broker_there(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(DeviceConfig, FIRST_CONFIGURATION)
    assert config.device.board == "beaglebone"
    assert config.device.name == program("take_headwater", monkeypatch).FIRST_NAME
    assert program("own_broker", monkeypatch).is_here(FIRST_CONFIGURATION)
