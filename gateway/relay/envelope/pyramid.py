"""The least and greatest values of a stream at every resolution, kept as the batches come. Pure.

A pyramid of levels, each with buckets of four of the level below; the buckets are aligned to the index, so that
late backlog finds its place, and each level is a ring of the same number of buckets, so that coarser levels
reach further back. A query takes the coarsest level that is fine enough, and joins at most a few of its buckets
into one: its cost depends on the width that was asked for and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Gap
from gateway.relay.envelope.level import NS, Buckets, Clock, Level, firsts, join
from gateway.relay.envelope.losses import Loss, Losses

BASE = 4
"""Frames in a bucket of the finest level."""
FACTOR = 4
"""Buckets of one level in a bucket of the next."""
LEVELS = 12
"""The coarsest has buckets of 16 million frames."""
BUCKETS = 1 << 15
"""Of each level, at most."""
LONGEST_S = 1e9
"""Longer windows are as good as this one: 32 years."""
MINIMUM_WIDTH = 2
"""A window can lie across the boundary of two buckets of any size."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The answer to a query: consecutive buckets of equal size."""

    epoch: int
    index: int
    """The first bucket's first frame."""
    frames: int
    """Frames in a bucket, the last one too, though some of its frames may be yet to come."""
    rate: Fraction | None
    t: NDArray[np.int64]
    """UTC ns of the first frame of each bucket, shape (buckets,)."""
    lo: NDArray[Any]
    """The least value of each bucket, shape (buckets, channels); means nothing where `covered` is 0.

    NaN if none of a bucket's values is a number.
    """
    hi: NDArray[Any]
    covered: NDArray[np.int64]
    """How many of each bucket's frames were delivered, shape (buckets,)."""
    losses: tuple[Loss, ...] = ()
    """What of the buckets is not there, in order, up to the newest frame: the newest `MOST_LOSSES`."""

    @property
    def end(self) -> int:
        """The index after the last bucket."""
        return self.index + self.frames * len(self.t)


class Pyramid:
    """One epoch of a stream whose batches have so many columns of one type."""

    def __init__(self, batch: Batch, buckets: int = BUCKETS) -> None:
        self.epoch = batch.epoch
        self.columns = int(batch.data.shape[1])
        self.dtype = batch.data.dtype
        self.rate = batch.rate
        self.end = batch.index
        """The index after the last frame."""
        self._last_ns = batch.utc_ns
        self._losses = Losses()
        self._levels = [Level(BASE * FACTOR**number, buckets, batch) for number in range(LEVELS)]
        self.add(batch)

    @property
    def nbytes(self) -> int:
        """What all levels take."""
        return sum(level.nbytes for level in self._levels)

    def add(self, batch: Batch) -> None:
        """Take frames that were not there yet, wherever they belong."""
        times = None if batch.offsets_ns is None else batch.times_ns()
        clock = Clock(batch.index, batch.utc_ns, batch.rate)
        parts = Buckets(batch.index, batch.data, batch.data, np.ones(batch.frames, np.int64))
        for number, level in enumerate(self._levels):
            parts = join(FACTOR if number else BASE, parts)
            level.merge(parts, clock)
            begun, end = -(-batch.index // level.size), -(-batch.end // level.size)
            if begun < end:
                indices = np.arange(begun, end) * level.size
                level.set_times(begun, clock.times_of(indices) if times is None else times[indices - batch.index])
        self._losses.deliver(batch.index, batch.end)
        if batch.end > self.end:
            self.rate, self.end = batch.rate, batch.end
            last = clock.times_of(np.array([batch.end - 1])) if times is None else times[-1:]
            self._last_ns = int(last[0])

    def declare(self, gap: Gap) -> None:
        """Frames that will never come; they take no room until others come behind them."""
        self._losses.declare(gap)

    def query(self, start: int, end: int, width: int, channels: Sequence[int] | None = None) -> Envelope:
        """At most `width` buckets that hold all frames of [start, end) that are kept at that resolution."""
        if width < MINIMUM_WIDTH:
            raise ValueError(f"an envelope is at least {MINIMUM_WIDTH} buckets wide, not {width}")
        end = min(end, self.end)
        start = min(max(start, 0), end)
        level = self._level_for(start, end, width)
        start = max(start, level.first * level.size)
        return self._buckets(level, _bucket_size(level.size, end - start, width), start, end, channels)

    def latest(
        self, seconds: float, width: int, channels: Sequence[int] | None = None, after: int | None = None
    ) -> Envelope:
        """The last so many seconds, or of them only the buckets that hold something at or behind `after`.

        For a regular stream the buckets of one window and width are always the same ones, so that the answers
        fit together.
        """
        start, end = self.last(seconds)
        if self.rate is None:
            return self.query(start, end, width, channels)
        level = self._level_for(start, end, width)
        size = _bucket_size(level.size, end - start, width)
        return self._buckets(level, size, max(start, level.first * level.size, after or 0), end, channels)

    def indices(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """The frames of the buckets that [start_ns, end_ns) touches, in the finest level that reaches back so far.

        Takes the times for ascending.
        """
        level = next(
            (level for level in self._levels if not level.full or level.begins_by(start_ns)), self._levels[-1]
        )
        if start_ns > self._last_ns or start_ns >= end_ns or not level.begins_by(end_ns - 1):
            return self.end, self.end
        return level.bucket_at(start_ns) * level.size, (level.bucket_at(end_ns - 1) + 1) * level.size

    def last(self, seconds: float) -> tuple[int, int]:
        """The frames of the last so many seconds."""
        if self.rate is None:
            start, _ = self.indices(self._last_ns - int(min(seconds, LONGEST_S) * NS) + 1, self._last_ns + 1)
            return start, self.end
        return self.end - max(1, round(min(seconds, LONGEST_S) * self.rate)), self.end

    def _level_for(self, start: int, end: int, width: int) -> Level:
        """The coarsest one whose buckets are no longer than a pixel; a coarser one if that does not reach back."""
        chosen = self._levels[0]
        for level in self._levels[1:]:
            reaches = not chosen.full or chosen.first * chosen.size <= start
            if reaches and level.size * width > end - start:
                break
            chosen = level
        return chosen

    def _buckets(self, level: Level, size: int, start: int, end: int, channels: Sequence[int] | None) -> Envelope:
        # a bucket is handed out only if none of its frames was let go
        first = -(-start // size) if level.full and start == level.first * level.size else start // size
        last = -(-end // size) if start < end else first
        joined = size // level.size
        low, high = max(first * joined, level.first), min(last * joined, level.end)
        high = max(low, high)
        found, times = level.read(low, high), level.times(low, high)
        if joined > 1 and low < high:
            found, times = join(joined, found), times[firsts(joined, low, high - low)]
            before = Clock(low * level.size, int(times[0]), self.rate)
            times[0] = before.times_of(np.array([first * size]))[0]
        chosen = slice(None) if channels is None else list(channels)
        lo, hi = found.lo[:, chosen], found.hi[:, chosen]
        losses = self._losses.within(first * size, min((first + len(times)) * size, self.end))
        return Envelope(self.epoch, first * size, size, self.rate, times, lo, hi, found.covered, losses)


def _bucket_size(level: int, frames: int, width: int) -> int:
    """A multiple of the level's, so that `frames` lie in no more than `width` buckets wherever they begin."""
    return level * max(1, -(-frames // (level * (width - 1))))
