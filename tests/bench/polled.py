"""A polled source at 1 kHz x 4 channels: how late its frames are read, and what that costs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import psutil

from boards.base import Channel, PolledSource, SourceRequest
from boards.realtime import request_realtime
from boards.simulated import SimulatedBoard
from tests.bench.report import Report

Result = TypeVar("Result")

SECONDS = 5.0
RATE = Fraction(1000)
PINS = ("P9_39", "P9_40", "P9_37", "P9_38")
BLOCK_FRAMES = 100

LOADS = {
    "idle, ordinary priority": (False, False),
    "idle, SCHED_FIFO": (True, False),
    "every core busy, ordinary priority": (False, True),
    "every core busy, SCHED_FIFO": (True, True),
}


def benchmark(runs: int) -> Report:
    """Lateness of each frame's reading against its deadline, with and without SCHED_FIFO, idle and busy."""
    columns = ("p50 us", "p99 us", "max us", "late frames", "late %", "CPU us/k", "pins us/k")
    report = Report(f"Polled: {len(PINS)} ch x {float(RATE):g} Hz", columns)
    refusal = _in_a_thread(request_realtime)
    for name, (realtime, busy) in LOADS.items():
        if not (realtime and refusal):
            report.add(name, [_run(realtime, busy) for _ in range(runs)])
    report.notes = [
        f"Medians of {runs} runs of {SECONDS:g} s; max is the median of the runs' worst frames.",
        "p50, p99, max: how long after its deadline a frame was read. One whose period was over is not read but",
        "declared late. CPU us/k: microseconds of the reading thread's CPU for 1 000 samples, without the pins'",
        "own share (pins us/k: simulated ones, a constant each). Busy: as many busy processes as cores.",
    ]
    if refusal:
        report.notes.append(f"SCHED_FIFO is not measured: {refusal}")
    return report


def _run(realtime: bool, busy: bool) -> Mapping[str, float]:
    with ExitStack() as stack:
        if busy:
            for _ in range(psutil.cpu_count() or 1):
                burner = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
                stack.callback(burner.kill)
        return _in_a_thread(_measure, realtime)


def _in_a_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call it in a thread of its own, as real-time priority belongs to a thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()


def _measure(realtime: bool) -> Mapping[str, float]:
    if realtime:
        request_realtime()
    channels = tuple(Channel(pin, pin, {"signal": "constant"}) for pin in PINS)
    source = SimulatedBoard({"style": "polled"}).open_source(SourceRequest(channels, RATE, BLOCK_FRAMES))
    assert isinstance(source, PolledSource)
    watch = Watch(source)
    due = int(SECONDS * RATE)
    acquired = lost = 0
    with source:
        began = time.thread_time()
        while acquired + lost < due:
            block = source.read()
            acquired += len(block.frames)
            lost += block.lost
        used = time.thread_time() - began
    p50, p99 = np.percentile(watch.lateness_ns, [50, 99])
    samples = acquired * len(PINS)
    return {
        "p50 us": p50 / 1e3,
        "p99 us": p99 / 1e3,
        "max us": max(watch.lateness_ns) / 1e3,
        "late frames": lost,
        "late %": 100 * lost / (acquired + lost),
        "CPU us/k": (1e9 * used - watch.pins_ns) / samples,
        "pins us/k": watch.pins_ns / samples,
    }


class Watch:
    """Stands between a source and its pins, and looks at the clocks."""

    def __init__(self, source: PolledSource) -> None:
        self.lateness_ns: list[int] = []
        """By how much each frame's reading began after its deadline."""
        self.pins_ns = 0
        """CPU of the reading itself."""
        self._source = source
        self._read_pins = source.read_frame
        source.read_frame = self._read_frame  # type: ignore[method-assign]

    def _read_frame(self) -> Sequence[float]:
        self.lateness_ns.append(time.monotonic_ns() - self._source.next_due_ns)
        began = time.thread_time_ns()
        frame = self._read_pins()
        self.pins_ns += time.thread_time_ns() - began
        return frame
