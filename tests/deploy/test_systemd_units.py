"""The services' units: valid, tight, and with what the services need."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT

UNITS = ROOT / "deploy" / "systemd"
GATEWAY, RELAY = "headwater-gateway.service", "headwater-relay.service"
BOTH = pytest.mark.parametrize("unit", [GATEWAY, RELAY])
MOST_EXPOSED = 2.5


def settings(unit: str) -> Iterator[tuple[str, str]]:
    """The lines `key=value` of a unit, in their order."""
    for line in (UNITS / unit).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield key, value


def value(unit: str, key: str) -> str:
    """The one value of a key."""
    (only,) = [value for name, value in settings(unit) if name == key]
    return only


def exposure(unit: Path) -> float:
    """What `systemd-analyze security` says, from 0 (tight) to 10."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


@BOTH
def test_the_sandbox_is_tight(unit: str) -> None:
    assert exposure(UNITS / unit) <= MOST_EXPOSED


def test_the_score_would_tell_a_sandbox_that_is_gone(tmp_path: Path) -> None:
    bare = tmp_path / GATEWAY
    bare.write_text("[Service]\nExecStart=/bin/true\n")

    assert exposure(bare) > 9


@BOTH
def test_systemd_finds_nothing_wrong(unit: str, tmp_path: Path) -> None:
    # systemd wants to see the program, and the package is not installed here
    text = (UNITS / unit).read_text().replace("ExecStart=/usr/bin/headwater", "ExecStart=/bin/true")
    (tmp_path / unit).write_text(text)

    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / unit)], capture_output=True, text=True)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@BOTH
def test_it_is_watched_and_comes_back_for_ever(unit: str) -> None:
    assert value(unit, "Type") == "notify"
    assert value(unit, "WatchdogSec")
    assert value(unit, "Restart") == "always"
    assert value(unit, "StartLimitIntervalSec") == "0"


@BOTH
def test_it_is_nobody_in_particular_and_has_its_places(unit: str) -> None:
    assert value(unit, "User") == value(unit, "Group") == "headwater"
    assert value(unit, "CapabilityBoundingSet") == value(unit, "AmbientCapabilities") == ""
    assert value(unit, "StateDirectory").split("/")[0] == "headwater"
    assert value(unit, "ConfigurationDirectory") == "headwater"
    assert value(unit, "LoadCredential") == "secrets:/etc/headwater/secrets"


def test_the_gateway_may_use_converters_ports_pins_and_buses_and_no_other_device() -> None:
    allowed = {value.removesuffix(" rw") for key, value in settings(GATEWAY) if key == "DeviceAllow"}

    assert value(GATEWAY, "DevicePolicy") == "closed"
    assert allowed == {
        *("char-iio", "char-gpiochip", "char-i2c", "char-spi"),
        *("char-ttyS", "char-ttyO", "char-ttyAMA", "char-ttyUSB", "char-ttyACM"),
    }


def test_the_gateway_may_ask_how_good_the_clock_is_and_get_real_time_priority() -> None:
    keys = dict(settings(GATEWAY))
    calls = " ".join(value for key, value in settings(GATEWAY) if key == "SystemCallFilter")

    assert "adjtimex" in calls.split()
    assert "ProtectClock" not in keys, "it would refuse the question too"
    assert keys["LimitRTPRIO"] == "50"
    assert "RestrictRealtime" not in keys


def test_the_relay_sees_no_device_at_all() -> None:
    assert value(RELAY, "PrivateDevices") == "yes"
    assert not [value for key, value in settings(RELAY) if key == "DeviceAllow"]


@BOTH
def test_it_fits_a_board_with_512_mib(unit: str) -> None:
    board = 512 << 20

    assert memory(value(unit, "MemoryHigh"), board) < memory(value(unit, "MemoryMax"), board) <= board / 2
    assert int(value(unit, "TasksMax")) <= 256


def memory(text: str, board: int) -> float:
    """Bytes of a size or a share, as systemd.resource-control(5) has it."""
    if text.endswith("%"):
        return board * float(text[:-1]) / 100
    return float(text[:-1]) * {"M": 1 << 20, "G": 1 << 30}[text[-1]]
