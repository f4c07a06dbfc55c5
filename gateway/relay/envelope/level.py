"""One level of a pyramid: the least and the greatest value of each bucket of frames, in a ring. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch

NS = 1_000_000_000
FURTHEST_NS = 1 << 61
"""Times are not extrapolated further: 73 years."""
FIRST_ROOM = 256
"""Buckets that a level has room for at first; it doubles up to its bound."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Consecutive buckets, or those parts of them that one batch filled."""

    first: int
    """Number of the first bucket; bucket b of size s holds the frames [b * s, (b + 1) * s)."""
    lo: NDArray[Any]
    """Shape (buckets, channels)."""
    hi: NDArray[Any]
    covered: NDArray[np.int64]
    """How many frames were delivered, shape (buckets,); the rest is lost or not here yet."""

    @property
    def end(self) -> int:
        """The number after the last bucket."""
        return self.first + len(self.covered)

    def from_bucket(self, first: int) -> Buckets:
        """Those from a number on."""
        skip = max(first - self.first, 0)
        return Buckets(self.first + skip, self.lo[skip:], self.hi[skip:], self.covered[skip:])


@dataclass(frozen=True, slots=True)
class Clock:
    """When frames are: one known time, and the rate before and after it."""

    index: int
    utc_ns: int
    rate: Fraction | None

    def times_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """UTC ns of ascending frames, good to some ns; all the same if there is no rate or they are too far."""
        step_ns = 0 if self.rate is None else NS * self.rate.denominator / self.rate.numerator
        furthest = (
            max(abs(int(indices[0]) - self.index), abs(int(indices[-1]) - self.index)) if indices.size else 0
        )
        if self.rate is None or furthest * step_ns > FURTHEST_NS:
            return np.full(len(indices), self.utc_ns, np.int64)
        away: NDArray[np.int64] = ((indices - self.index) * step_ns).astype(np.int64)
        return self.utc_ns + away


def lesser(dtype: np.dtype[Any]) -> np.ufunc:
    """The minimum of two; a float that is not a number does not count."""
    return np.fmin if dtype.kind == "f" else np.minimum


def greater(dtype: np.dtype[Any]) -> np.ufunc:
    """The maximum of two; a float that is not a number does not count."""
    return np.fmax if dtype.kind == "f" else np.maximum


def join(size: int, buckets: Buckets) -> Buckets:
    """Larger buckets, each of `size` of the small ones; the first and the last may have some of theirs only."""
    starts = firsts(size, buckets.first, len(buckets.covered))
    return Buckets(
        buckets.first // size,
        lesser(buckets.lo.dtype).reduceat(buckets.lo, starts, axis=0),
        greater(buckets.hi.dtype).reduceat(buckets.hi, starts, axis=0),
        np.add.reduceat(buckets.covered, starts),
    )


def firsts(size: int, first: int, count: int) -> NDArray[np.int64]:
    """Where in `count` consecutive numbers from `first` on the multiples of `size` are; and the beginning."""
    aligned = np.arange(-first % size, count, size)
    return aligned if first % size == 0 else np.concatenate(([0], aligned))


class Level:
    """Buckets of one size, of the last frames only."""

    def __init__(self, size: int, bound: int, batch: Batch) -> None:
        self.size = size
        self._bound = bound
        self._low, self._high = _limits(batch.data.dtype)
        self.first = batch.index // size
        """Number of the first bucket that is kept."""
        self.end = self.first
        """The number after the last one."""
        self.full = False
        """Whether anything was ever let go for want of room."""
        room, columns = min(FIRST_ROOM, bound), batch.data.shape[1]
        self._lo = np.full((room, columns), self._low, batch.data.dtype)
        self._hi = np.full((room, columns), self._high, batch.data.dtype)
        self._covered = np.zeros(room, np.int64)
        self._times = np.zeros(room, np.int64)

    @property
    def nbytes(self) -> int:
        """What the ring takes."""
        return self._lo.nbytes + self._hi.nbytes + self._covered.nbytes + self._times.nbytes

    def merge(self, parts: Buckets, clock: Clock) -> None:
        """Put in what a batch has; what is older than the ring is left out."""
        if parts.end > self.end:
            self._reach(parts.end, clock)
        if parts.first < self.first:
            self._reach_back(parts.first, clock)
        parts = parts.from_bucket(self.first)
        if not len(parts.covered):
            return
        for at, part in self._places(parts.first, parts.end):
            lesser(self._lo.dtype)(self._lo[at], parts.lo[part], out=self._lo[at])
            greater(self._hi.dtype)(self._hi[at], parts.hi[part], out=self._hi[at])
            self._covered[at] += parts.covered[part]

    def set_times(self, first: int, times: NDArray[np.int64]) -> None:
        """When the first frames of the buckets from a number on were."""
        low, high = max(first, self.first), min(first + len(times), self.end)
        for at, part in self._places(low, high):
            self._times[at] = times[low - first :][part]

    def read(self, first: int, end: int) -> Buckets:
        """The buckets [first, end), which are all kept."""
        lo, hi, covered = (self._copied(ring, first, end) for ring in (self._lo, self._hi, self._covered))
        return Buckets(first, lo, hi, covered)

    def times(self, first: int, end: int) -> NDArray[np.int64]:
        """When the first frame of each of the buckets [first, end) was."""
        return self._copied(self._times, first, end)

    def begins_by(self, moment_ns: int) -> bool:
        """Whether the first bucket begins at or before a moment."""
        return self.first < self.end and int(self._times[self.first % len(self._times)]) <= moment_ns

    def bucket_at(self, moment_ns: int) -> int:
        """The last bucket that begins at or before a moment, by bisection; the first one if none does."""
        low, high = self.first, self.end
        while high - low > 1:
            middle = (low + high) // 2
            if self._times[middle % len(self._times)] <= moment_ns:
                low = middle
            else:
                high = middle
        return low

    def _places(self, first: int, end: int) -> Iterator[tuple[slice, slice]]:
        """Where in the ring the buckets [first, end) are, and which of them: two places where it closes.

        Slices, because picking rows by number costs more than all the rest of a small batch.
        """
        room = len(self._covered)
        done = first
        while done < end:
            at = done % room
            upto = min(end, done + room - at)
            yield slice(at, at + upto - done), slice(done - first, upto - first)
            done = upto

    def _copied(self, ring: NDArray[Any], first: int, end: int) -> NDArray[Any]:
        parts = [ring[at] for at, _ in self._places(first, end)]
        return np.concatenate(parts) if parts else ring[:0].copy()

    def _reach(self, end: int, clock: Clock) -> None:
        """Make empty buckets up to `end`, and let go of the first ones if there is no more room."""
        self._make_room(min(end - self.first, self._bound))
        self._clear(max(self.end, end - self._bound), end, clock)
        self.end = end
        self._let_go(end - self._bound)

    def _reach_back(self, first: int, clock: Clock) -> None:
        """Make empty buckets down to `first`, as far as there is room."""
        self._make_room(min(self.end - first, self._bound))
        kept = max(first, self.end - self._bound)
        self._clear(kept, self.first, clock)
        self.first = kept
        self.full = self.full or kept > first

    def _clear(self, first: int, end: int, clock: Clock) -> None:
        if first >= end:
            return
        times = clock.times_of(np.arange(first, end) * self.size)
        for at, part in self._places(first, end):
            self._lo[at], self._hi[at], self._covered[at] = self._low, self._high, 0
            self._times[at] = times[part]

    def _let_go(self, first: int) -> None:
        if first > self.first:
            self.first, self.full = first, True

    def _make_room(self, buckets: int) -> None:
        room = len(self._covered)
        if buckets <= room:
            return
        while room < buckets:
            room = min(room * 2, self._bound)
        old, new = list(self._places(self.first, self.end)), np.arange(self.first, self.end) % room
        for name in ("_lo", "_hi", "_covered", "_times"):
            ring: NDArray[Any] = getattr(self, name)
            larger = np.empty((room, *ring.shape[1:]), ring.dtype)
            for at, part in old:
                larger[new[part]] = ring[at]
            setattr(self, name, larger)


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """What an empty bucket has for least and greatest: anything else is less, and greater."""
    if dtype.kind == "f":
        return np.nan, np.nan
    return np.iinfo(dtype).max, np.iinfo(dtype).min
