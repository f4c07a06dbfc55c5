"""What the kernel knows of its clocks: their readings, and whether anybody keeps them right (adjtimex(2))."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

STA_UNSYNC = 0x0040
"""linux/timex.h: the clock is not synchronised."""
TIME_ERROR = 5
"""What adjtimex returns then."""

MICROSECOND_NS = 1000


class Timeval(ctypes.Structure):
    """struct timeval."""

    _fields_ = [("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long)]


class Timex(ctypes.Structure):
    """struct timex as adjtimex(2) has it, on 32 and 64 bits."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", Timeval),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    ]


@dataclass(frozen=True, slots=True)
class KernelClock:
    """The state of the wall clock."""

    synchronised: bool
    maximum_error_ns: int | None = None
    """The kernel's bound; it grows by 500 ppm from one correction to the next. None if it cannot be asked."""
    estimated_error_ns: int | None = None
    tai_offset_s: int | None = None
    """TAI - UTC; None if nobody told the kernel."""


@dataclass(frozen=True, slots=True)
class Reading:
    """CLOCK_MONOTONIC and CLOCK_REALTIME at one instant."""

    monotonic_ns: int
    realtime_ns: int
    uncertainty_ns: int
    """How far apart the two may have been read."""


def read_kernel_clock() -> KernelClock:
    """Ask the kernel, and change nothing: `modes` is 0.

    Where it may not be asked (another system, a sandbox) the clock counts as not synchronised.
    """
    timex = Timex()
    try:
        state = _adjtimex()(ctypes.byref(timex))
    except (OSError, AttributeError):
        return KernelClock(synchronised=False)
    if state < 0:
        return KernelClock(synchronised=False)
    return kernel_clock(state, timex)


@functools.cache
def _adjtimex() -> Callable[..., int]:
    """The C library's; loading that takes much longer than asking."""
    function: Callable[..., int] = ctypes.CDLL(None, use_errno=True).adjtimex
    return function


def kernel_clock(state: int, timex: Timex) -> KernelClock:
    """What an answer of adjtimex(2) means."""
    return KernelClock(
        synchronised=state != TIME_ERROR and not timex.status & STA_UNSYNC,
        maximum_error_ns=timex.maxerror * MICROSECOND_NS,
        estimated_error_ns=timex.esterror * MICROSECOND_NS,
        tai_offset_s=timex.tai or None,
    )


def read_clocks(attempts: int = 5, realtime_ns: Callable[[], int] = time.time_ns) -> Reading:
    """Read both clocks as near together as one of several attempts gets them."""
    return min((_read_once(realtime_ns) for _ in range(attempts)), key=lambda reading: reading.uncertainty_ns)


def _read_once(realtime_ns: Callable[[], int]) -> Reading:
    before = time.monotonic_ns()
    realtime = realtime_ns()
    after = time.monotonic_ns()
    return Reading((before + after) // 2, realtime, (after - before + 1) // 2)
