"""The clock: set, synchronised, and by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.device.kernel_clock import KernelClock
from gateway.doctor.clock import (
    check_clock,
    date_finding,
    hardware_clock_finding,
    synchronisation_finding,
)
from tests.gateway.doctor.standin import StandIn


def test_a_date_of_today_is_believed() -> None:
    assert date_finding(datetime.now(UTC)).ok


@pytest.mark.parametrize("year", [1970, 2000, 2023])
def test_a_clock_that_was_never_set_is_told_of(year: int) -> None:
    finding = date_finding(datetime(year, 1, 1, tzinfo=UTC))
    assert finding.found == f"{year}-01-01 00:00:00 UTC"
    assert "never set" in (finding.todo or "")


@pytest.mark.parametrize(("service", "by"), [("chronyd", "by chronyd"), (None, "whoever sets the clock")])
def test_a_synchronised_clock_says_how_well_and_by_whom(service: str | None, by: str) -> None:
    finding = synchronisation_finding(KernelClock(True, 3_200_000), service)
    assert finding.ok
    assert "within 3.2 ms" in finding.found
    assert by in finding.found


@pytest.mark.parametrize(
    ("service", "todo"),
    [
        (None, "sudo apt install chrony"),
        ("chronyd", "see `chronyc sources`"),
        ("systemd-timesyn", "see `timedatectl timesync-status`"),
    ],
)
def test_a_clock_that_is_not_synchronised_says_what_to_do(service: str | None, todo: str) -> None:
    assert synchronisation_finding(KernelClock(False, 16_000_000_000), service).todo == todo


def test_a_hardware_clock_in_local_time_is_told_of() -> None:
    assert hardware_clock_finding(None).ok
    assert hardware_clock_finding("0.0 0 0.0\n0\nUTC").ok
    finding = hardware_clock_finding("0.000000 1700000000 0.000000\n1700000000\nLOCAL")
    assert finding.todo == "timedatectl set-local-rtc 0"


def test_the_service_is_found_among_the_processes_and_the_zone_in_adjtime(tmp_path: Path) -> None:
    there = StandIn(tmp_path)
    there.run(300, "/usr/lib/systemd/systemd-timesyncd")
    there.write("/etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n")
    date, clock, hardware = check_clock(there.machine)
    assert date.ok
    assert "systemd-timesyn" in clock.found
    assert not hardware.ok
