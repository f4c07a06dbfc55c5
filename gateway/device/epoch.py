"""Numbering the epochs: each start of the acquisition gets a number above all earlier ones.

An epoch is a counter in the high bits and a random number in the low ones: the counter makes it grow, the
random part tells two devices of one name apart, and a device whose counter was lost from its earlier self.
It stays below 2**53, so that JSON and JavaScript hold it exactly.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

RANDOM_BITS = 32
MAXIMUM_COUNTER = (1 << (53 - RANDOM_BITS)) - 1
"""2 097 151 starts: one each hour for 239 years."""

COUNTER_FILE = "epoch"

YEAR_2020_S = 1_577_836_800
HOUR_S = 3600


def next_epoch(last_counter: int, newest: int, now_s: float, random: int) -> int:
    """The epoch after the counter on file and the newest epoch seen elsewhere (0 if none).

    The hours since 2020 are a floor, so that epochs grow even when the file is lost; a wall clock that was
    never set adds nothing.
    """
    hours = int(now_s - YEAR_2020_S) // HOUR_S
    counter = max(last_counter + 1, (newest >> RANDOM_BITS) + 1, hours, 1)
    return min(counter, MAXIMUM_COUNTER) << RANDOM_BITS | random


def begin_epoch(directory: Path, newest: int = 0) -> int:
    """Number a new epoch, and note its counter in the directory before it is used.

    `newest` is the newest epoch that is known otherwise: the outbox's, or one seen on the broker. A file that
    cannot be read or written is no obstacle: the clock and `newest` keep the epochs growing.
    """
    file = directory / COUNTER_FILE
    epoch = next_epoch(_read(file), newest, time.time(), secrets.randbits(RANDOM_BITS))
    with contextlib.suppress(OSError):
        _write(file, epoch >> RANDOM_BITS)
    return epoch


def _read(file: Path) -> int:
    try:
        counter = int(file.read_bytes()[:20])
    except (OSError, ValueError):
        return 0
    return counter if 0 <= counter < MAXIMUM_COUNTER else 0


def _write(file: Path, counter: int) -> None:
    """Replace the file whole, on disk before it has its name: a power cut leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    with fresh.open("wb") as out:
        out.write(b"%d\n" % counter)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
