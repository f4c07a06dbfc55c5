"""The kernel's own word on its clocks."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time

import pytest

from gateway.device.kernel_clock import (
    STA_UNSYNC,
    TIME_ERROR,
    KernelClock,
    Timex,
    kernel_clock,
    read_clocks,
    read_kernel_clock,
)


def test_the_structure_is_as_large_as_the_kernel_s() -> None:
    assert ctypes.sizeof(Timex) == (208 if ctypes.sizeof(ctypes.c_long) == 8 else 128)


def test_the_kernel_answers() -> None:
    clock = read_kernel_clock()
    assert clock.maximum_error_ns is not None
    assert clock.estimated_error_ns is not None
    assert clock.maximum_error_ns >= 0


def test_reading_does_not_change_the_clock() -> None:
    before = Timex()
    libc = ctypes.CDLL(None)
    libc.adjtimex(ctypes.byref(before))
    read_kernel_clock()
    after = Timex()
    libc.adjtimex(ctypes.byref(after))
    assert (before.freq, before.tick, before.status, before.tai) == (
        after.freq,
        after.tick,
        after.status,
        after.tai,
    )
    assert abs(after.time.tv_sec - time.time()) < 60


@pytest.mark.parametrize(
    ("state", "status", "synchronised"),
    [(0, 0, True), (TIME_ERROR, 0, False), (0, STA_UNSYNC, False), (0, 0x2001, True)],
)
def test_what_an_answer_means(state: int, status: int, synchronised: bool) -> None:
    clock = kernel_clock(state, Timex(status=status, maxerror=1500, esterror=20, tai=37))
    assert clock == KernelClock(synchronised, 1_500_000, 20_000, 37)


def test_where_the_call_is_forbidden_the_clock_is_not_synchronised() -> None:
    """A seccomp filter answers EPERM, as systemd's ProtectClock does."""
    program = """
import ctypes, os, platform, struct
# adjtimex and clock_adjtime, by which glibc does it
numbers = {"x86_64": (159, 305), "armv7l": (124, 372), "aarch64": (171, 266)}.get(platform.machine())
if numbers is None:
    raise SystemExit(77)
instruction = lambda code, jt, jf, k: struct.pack("HBBI", code, jt, jf, k)
program = (instruction(0x20, 0, 0, 0) + instruction(0x15, 1, 0, numbers[0]) + instruction(0x15, 0, 1, numbers[1])
    + instruction(0x06, 0, 0, 0x00050001) + instruction(0x06, 0, 0, 0x7FFF0000))
buffer = ctypes.create_string_buffer(program)
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
if libc.prctl(22, 2, ctypes.byref(Filter(5, ctypes.addressof(buffer)))):
    raise SystemExit(77)
from gateway.device.kernel_clock import KernelClock, read_kernel_clock
assert read_kernel_clock() == KernelClock(synchronised=False)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no seccomp here")
    assert done.returncode == 0, done.stderr


def test_both_clocks_are_read_together() -> None:
    reading = read_clocks()
    assert 0 <= reading.uncertainty_ns < 50_000_000
    offset = time.time_ns() - time.monotonic_ns()
    assert abs(reading.realtime_ns - reading.monotonic_ns - offset) < 1_000_000_000
