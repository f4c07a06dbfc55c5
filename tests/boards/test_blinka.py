"""The blinka board. What needs the real Blinka runs in a process of its own: blinka_inside.py."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from boards import BoardUnavailable
from boards.blinka import BlinkaBoard
from boards.blinka_bus import load_class

ROOT = Path(__file__).parents[2]
NEEDED = (
    "Adafruit_BBIO",
    "adafruit_blinka",
    "adafruit_ads1x15",
    "adafruit_mcp9808",
    "adafruit_lis3dh",
    "adafruit_max31855",
    "adafruit_pm25",
)


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, from the project's root."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.skipif(
    any(find_spec(name) is None for name in NEEDED),
    reason=f"needs the distributions of {', '.join(NEEDED)}",
)
def test_real_drivers_on_the_real_blinka() -> None:
    done = run_python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/boards/blinka_inside.py"),
        BLINKA_FORCEBOARD="BEAGLEBONE_BLACK",
        BLINKA_FORCECHIP="AM33XX",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_nothing_of_blinka_is_imported_before_the_board_is_used() -> None:
    done = run_python(
        "-c",
        "import sys, boards.registry as r; r.board_names(); r.load_board('blinka')();"
        "print([m for m in ('board', 'busio', 'adafruit_blinka', 'adafruit_platformdetect') if m in sys.modules])",
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_without_blinka_the_board_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adafruit_blinka", None)
    assert BlinkaBoard.availability() == "Adafruit-Blinka is not installed: pip install 'headwater[blinka]'"


def test_without_its_driver_the_sensor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adafruit_bme280", None)
    with pytest.raises(BoardUnavailable, match=r"adafruit_bme280\.basic\.Adafruit_BME280_I2C cannot be imported"):
        load_class("adafruit_bme280.basic.Adafruit_BME280_I2C")
    with pytest.raises(BoardUnavailable, match="pip install"):
        load_class("adafruit_bme280.basic.Adafruit_BME280_I2C")
