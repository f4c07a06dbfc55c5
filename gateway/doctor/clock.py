"""The clock: its date, whether it is synchronised and by whom, and what the hardware clock keeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.device.kernel_clock import KernelClock, read_kernel_clock
from gateway.doctor.finding import Finding
from gateway.doctor.machine import Machine

EARLIEST_YEAR = 2024
"""A clock that says less was never set: a BeagleBone has no battery, and begins in the past."""

SERVICES = {
    "chronyd": "chronyc sources",
    "systemd-timesyn": "timedatectl timesync-status",
    "ntpd": "ntpq -p",
    "ptp4l": "journalctl -u ptp4l",
}
"""Who sets clocks, by the name that the kernel knows (15 characters), and what shows how they fare."""


def check_clock(machine: Machine) -> Iterator[Finding]:
    """All there is to say of this machine's clock."""
    yield date_finding(datetime.now(UTC))
    yield synchronisation_finding(read_kernel_clock(), machine.running(frozenset(SERVICES)))
    yield hardware_clock_finding(machine.text("/etc/adjtime"))


def date_finding(now: datetime) -> Finding:
    """Whether the date can be true."""
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year >= EARLIEST_YEAR:
        return Finding("date", found)
    return Finding("date", found, "the clock was never set (a BeagleBone has no battery): see the line 'clock'")


def synchronisation_finding(clock: KernelClock, service: str | None) -> Finding:
    """Whether the clock is synchronised, and by whom."""
    if clock.synchronised:
        by = f" by {service}" if service else ", by whoever sets the clock of this machine"
        error_ms = (clock.maximum_error_ns or 0) / 1e6
        return Finding("clock", f"synchronised to within {error_ms:.3g} ms{by}")
    if service is None:
        return Finding("clock", "not synchronised, and no time service runs", "sudo apt install chrony")
    return Finding("clock", f"not synchronised, though {service} runs", f"see `{SERVICES[service]}`")


def hardware_clock_finding(adjtime: str | None) -> Finding:
    """Whether the hardware clock, if there is one, keeps UTC: the third line of hwclock(8)'s file says so."""
    lines = (adjtime or "").splitlines()
    if len(lines) > 2 and lines[2].strip() == "LOCAL":
        return Finding("hardware clock", "keeps local time", "timedatectl set-local-rtc 0")
    return Finding("hardware clock", "keeps UTC, or there is none")
