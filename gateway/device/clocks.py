"""The device's clocks, read for real: what the pure models of `clock.py` are fed with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gateway.device.clock import SampleClock, WallClock
from gateway.device.kernel_clock import KernelClock, Reading, read_clocks, read_kernel_clock

LOOK_NS = 100_000_000
"""How old the comparison of the clocks may be when a batch is stamped."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a frame was taken, on both clocks."""

    monotonic_ns: int
    utc_ns: int
    error_ns: int | None
    """Bound of the error of `utc_ns`; None while the clock is not synchronised."""


@dataclass(frozen=True, slots=True)
class Readers:
    """Where the times come from."""

    clocks: Callable[[], Reading] = read_clocks
    kernel: Callable[[], KernelClock] = read_kernel_clock


class Clocks:
    """CLOCK_MONOTONIC to UTC for all streams. Any thread may call anything."""

    def __init__(self, on_event: Callable[[str, dict[str, Any]], None], readers: Readers | None = None) -> None:
        """`on_event` gets each `clock_step`."""
        self._on_event = on_event
        self._readers = readers or Readers()
        self._wall = WallClock()
        self._looking = threading.Lock()
        self._looked_ns = 0
        self.look()

    def look(self) -> None:
        """Compare the clocks; a step of the wall clock is an event."""
        with self._looking:
            kernel, reading = self._readers.kernel(), self._readers.clocks()
            self._looked_ns = reading.monotonic_ns
            step = self._wall.update(
                reading.monotonic_ns,
                reading.realtime_ns,
                synchronised=kernel.synchronised,
                error_ns=kernel.maximum_error_ns,
                uncertainty_ns=reading.uncertainty_ns,
            )
        if step is not None:
            self._on_event(
                "clock_step",
                {
                    "monotonic_ns": step.monotonic_ns,
                    "before_ns": step.before_ns,
                    "after_ns": step.after_ns,
                    "synchronised": step.synchronised,
                },
            )

    def moment(self, monotonic_ns: int) -> Moment:
        """An instant on CLOCK_MONOTONIC, on both clocks."""
        if time.monotonic_ns() - self._looked_ns > LOOK_NS:
            self.look()
        return Moment(monotonic_ns, self._wall.utc(monotonic_ns), self._wall.error_ns)

    def stream(self, rate: Fraction | None) -> StreamClock:
        """The clock of one stream; `rate` None for irregular ones."""
        return StreamClock(self, rate)

    def describe(self) -> dict[str, Any]:
        """For the status and the health."""
        return {"synchronised": self._wall.synchronised, "error_ns": self._wall.error_ns}


class StreamClock:
    """When the frames of one stream were taken. Used by its acquisition's thread alone."""

    def __init__(self, clocks: Clocks, rate: Fraction | None) -> None:
        self._clocks = clocks
        self._samples = SampleClock(rate) if rate is not None else None

    def seen(self, index: int, monotonic_ns: int) -> None:
        """A block's first frame has that index and that stamp."""
        if self._samples is not None:
            self._samples.update(index, monotonic_ns)

    def reopened(self) -> None:
        """The source was opened anew."""
        if self._samples is not None:
            self._samples.reopened()

    def at(self, index: int, monotonic_ns: int) -> Moment:
        """A frame that was seen, by its index; irregular streams go by the stamp."""
        return self._clocks.moment(self._samples.at(index) if self._samples is not None else monotonic_ns)
