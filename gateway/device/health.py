"""What a device says of itself every ten seconds: queues, losses, load, clock."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from gateway.device.outbox.record import Counters
from gateway.model import SCHEMA_VERSION

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
"""Thousandths of a degree Celsius: the kernel's Documentation/ABI/testing/sysfs-class-thermal."""


class Losses:
    """Frames declared lost, by stream and reason. Any thread may call anything."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._frames: dict[str, Counter[str]] = {}

    def add(self, stream: str, reason: str, frames: int) -> None:
        """Count a gap."""
        with self._lock:
            self._frames.setdefault(stream, Counter())[reason] += frames

    def as_dict(self) -> dict[str, dict[str, int]]:
        """By stream, then by reason."""
        with self._lock:
            return {stream: dict(reasons) for stream, reasons in self._frames.items()}


class Load:
    """This process's share of the machine."""

    def __init__(self) -> None:
        self._cpu_s, self._at = time.process_time(), time.monotonic()

    def read(self) -> dict[str, float | None]:
        """CPU in percent of one core since the last call, memory in MiB, temperature in degrees Celsius."""
        cpu_s, now = time.process_time(), time.monotonic()
        percent = 100 * (cpu_s - self._cpu_s) / max(1e-9, now - self._at)
        self._cpu_s, self._at = cpu_s, now
        return {"cpu_percent": round(percent, 2), "memory_mib": round(_memory_mib(), 1), "celsius": _celsius()}


def health_of(
    *,
    epoch: int,
    uptime_s: float,
    acquired: Mapping[str, int],
    stalled: list[str],
    losses: Losses,
    outbox: Counters,
    connects: int,
    rejection: str | None,
    clock: Mapping[str, Any],
    load: Mapping[str, float | None],
) -> dict[str, Any]:
    """The `health` message. What the outbox itself had to drop is in its `dropped`, not in `lost`."""
    return {
        "v": SCHEMA_VERSION,
        "epoch": epoch,
        "uptime_s": round(uptime_s, 1),
        "acquired": dict(acquired),
        "stalled": stalled,
        "lost": losses.as_dict(),
        "outbox": {
            "records": outbox.records,
            "bytes": outbox.bytes,
            "memory_bytes": outbox.memory_bytes,
            "disk_bytes": outbox.disk_bytes,
            "in_flight": outbox.in_flight,
            "oldest_s": round(outbox.oldest_s, 3),
            "dropped": outbox.dropped,
            "degraded": outbox.degraded,
        },
        "reconnects": max(0, connects - 1),
        "rejected": rejection,
        "clock": dict(clock),
        **load,
    }


def _memory_mib() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _celsius() -> float | None:
    try:
        return int(THERMAL.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return None
