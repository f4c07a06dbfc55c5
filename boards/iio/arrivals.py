"""Numbering frames that carry no time of their own, by when they arrive. Pure: counts and times in, numbers out.

The kernel's buffer drops new scans without a word when it is full (`iio_store_to_kfifo()` returns -EBUSY and
most drivers, ti_am335x_adc among them, do not look). What a reader can know is this:

* between two reads the level only rises, so that a read which found the buffer less than full proves that
  nothing was dropped before it; a read which found it full says where the loss is, if there was one;
* how much was lost is what the clock says: frames due minus frames numbered.

A frame is never read before it was taken, but often later. So the lower envelope of the arrival times, not
their mean, is compared with the times at which the frames were due; and only of *fresh* arrivals, those that a
reader was waiting for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SETTLE_READS = 64
SETTLE_NS = 250_000_000
"""After a loss, how many reads, or how long, until the earliest arrival is taken for the envelope."""

WINDOW_NS = 500_000_000
"""How long arrivals are gathered before the clock follows their earliest one."""

PATIENCE_WINDOWS = 4
"""How many windows in a row must say that frames are missing before it is believed."""

DEFICIT_NS = 2_000_000
"""How late the earliest of a window must be to say so, if that is more than DEFICIT_PERIODS."""
DEFICIT_PERIODS = 3

WINDOW_FRESH = 4
"""How many fresh arrivals a window needs."""

FITS = 4

FOLLOW_PHASE = 0.3
FOLLOW_PERIOD = 0.05
"""How much of a window's error the clock takes over: a well damped loop of second order, settled in about 10 s."""


class ArrivalClock:
    """The due time of each frame, followed by the arrivals; and what is missing."""

    def __init__(self, period_ns: float, first_ns: int) -> None:
        self.period_ns = period_ns
        self.index = 0
        """The number of the next frame to arrive."""
        self.behind = False
        """Frames are missing although the buffer was never full: the hardware itself dropped them."""
        self._reference = (0, float(first_ns))
        self._window_end: int | None = None
        self._window_index = 0
        self._fresh = 0
        self._earliest = np.inf
        self._late_windows = 0
        self._settling_reads: int | None = None
        self._settled_at: int | None = None

    @classmethod
    def measured(cls, reads: Sequence[tuple[int, int]], period_ns: float) -> ArrivalClock:
        """A clock in step with reads of (frames so far, ns); the next frame to arrive gets number 0."""
        counts, times = np.array(reads, dtype=np.int64).T
        total = int(counts[-1])
        earliest = float(np.min(times - times[-1] + (total - counts) * period_ns)) + float(times[-1])
        return cls(period_ns, round(earliest + period_ns))

    def time_ns(self, index: float) -> int:
        """CLOCK_MONOTONIC at which the frame of that number was due."""
        number, time = self._reference
        return round(time + (index - number) * self.period_ns)

    def restart(self) -> None:
        """The buffer was stopped and started again: what was lost meanwhile is to be found out."""
        self.behind = False
        self._late_windows = 0
        self._settling_reads = 0
        self._settled_at = None
        self._earliest = np.inf

    @property
    def settling(self) -> bool:
        """Whether frames are being held until it is known how many were lost before them."""
        return self._settling_reads is not None

    def wants_fresh(self, now_ns: int) -> bool:
        """Whether the reader should wait for each arrival for a while, not for a block."""
        half_over = self._window_end is not None and now_ns > self._window_end - WINDOW_NS // 2
        return self.settling or (half_over and self._fresh < WINDOW_FRESH)

    def arrived(self, count: int, now_ns: int, full: bool, fresh: bool) -> int | None:
        """Take note of a read: `count` frames at `now_ns`; was the buffer `full`, and were they `fresh`?

        Returns how many frames were lost before those held so far and these; None if that is not known yet:
        hold them. Loss after these frames is told with a later read.
        """
        if count == 0:
            return None if self.settling else 0
        self.index += count
        late = now_ns - self.time_ns(self.index - 1)
        lost: int | None = 0
        if self._settling_reads is not None:
            lost = self._settle(self._settling_reads + 1, late, now_ns, full)
        elif not full:
            self._follow(late, now_ns, fresh)
        if full:
            self.restart()
        return lost

    def settle(self) -> int:
        """No more frames are coming: how many were lost before those held so far."""
        if self._settling_reads is None:
            return 0
        lost = max(0, round(self._earliest / self.period_ns)) if self._settling_reads else 0
        self.index += lost
        self._settling_reads = None
        return lost

    def _settle(self, reads: int, late: int, now_ns: int, full: bool) -> int | None:
        self._settling_reads = reads
        self._earliest = min(self._earliest, late)
        if self._settled_at is None:
            self._settled_at = now_ns + SETTLE_NS
        if not full and reads < SETTLE_READS and (now_ns < self._settled_at or reads < 2):
            return None
        lost = self.settle()
        self._start_window(now_ns)
        return lost

    def _follow(self, late: int, now_ns: int, fresh: bool) -> None:
        if self._window_end is None:
            self._start_window(now_ns)
        if fresh or late < 0:
            self._fresh += 1
            self._earliest = min(self._earliest, late)
        if self._window_end is None or now_ns < self._window_end or self._fresh < WINDOW_FRESH:
            return
        error = self._earliest
        frames = self.index - self._window_index
        if error > max(DEFICIT_NS, DEFICIT_PERIODS * self.period_ns):
            self._late_windows += 1
            self.behind = self._late_windows >= PATIENCE_WINDOWS
        else:
            self._late_windows = 0
            self._reference = (self.index, self.time_ns(self.index) + FOLLOW_PHASE * error)
            self.period_ns += FOLLOW_PERIOD * error / frames
        self._start_window(now_ns)

    def _start_window(self, now_ns: int) -> None:
        self._window_end = now_ns + WINDOW_NS
        self._window_index = self.index
        self._fresh = 0
        self._earliest = np.inf


def measure_period(counts: Sequence[int], times: Sequence[int] | NDArray[np.int64]) -> float:
    """ns a frame, from the times at which so many frames were there: a line through the earlier half of them.

    Nothing is early, and what is late says nothing of the device.
    """
    x = np.asarray(counts, dtype=np.int64)
    x = (x - x[0]).astype(float)
    y = np.asarray(times, dtype=np.int64)
    y = (y - y[0]).astype(float)
    early = np.ones(len(x), bool)
    slope = 0.0
    for _ in range(FITS):
        around = x[early] - x[early].mean()
        slope = float((around * y[early]).sum() / (around * around).sum())
        late = y - slope * x
        early = late <= np.median(late)
        if np.count_nonzero(early) < 2 or np.ptp(x[early]) < np.ptp(x) / 2:
            break  # too few to tell more from
    return slope
