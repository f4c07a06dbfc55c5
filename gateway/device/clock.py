"""When a frame was taken: from block stamps to CLOCK_MONOTONIC, and from there to UTC. Pure.

A source stamps its blocks when it gets to read them, so a stamp may be late and is never early. `SampleClock`
draws the line below the stamps that comes closest to them, after

    S. B. Moon, P. Skelly, D. Towsley: Estimation and removal of clock skew from network delay measurements,
    IEEE INFOCOM 1999,

where the best line below all points is an edge of their lower convex hull: the one above the mean of their
abscissae. `WallClock` keeps the distance from CLOCK_MONOTONIC to UTC. When that jumps, it says so and follows at
once; it never smears.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median

SECOND_NS = 1_000_000_000

Point = tuple[float, float]
"""Seconds since the model began, and how many ns later than nominal a stamp was."""


class SampleClock:
    """The times of a regular stream's frames, from the stamps of its blocks.

    Of each second the least late stamp is kept, for the last minute: memory and work are constant. While less
    than `SETTLED_S` were seen, the nominal rate is believed, then the estimated one.
    """

    BUCKET_S = 1.0
    BUCKETS = 64
    SETTLED_S = 8.0
    RECENT_S = 4.0
    """How far back the offset is looked for as long as the rate is not known."""
    MAXIMUM_DRIFT = 1e-3
    """No source is farther from its nominal rate than this; the estimate is kept within."""
    STEP_NS = 1_000_000
    """A stamp so much before the line cannot be: the numbering has shifted, and the model begins anew."""
    LATE_BUCKETS = 10
    """Stamps that stay behind the line for so many seconds: the numbering has shifted."""

    def __init__(self, rate: Fraction) -> None:
        """`rate`: frames a second, nominal."""
        self._rate = rate
        self._drift = 0.0
        self._begin(0, 0)
        self._empty = True

    def update(self, index: int, monotonic_ns: int) -> None:
        """A block's first frame has that index, and was stamped so on CLOCK_MONOTONIC."""
        if self._empty:
            self._begin(index, monotonic_ns)
        point: Point = (
            self._nominal_ns(index) / SECOND_NS,
            monotonic_ns - self._origin_ns - self._nominal_ns(index),
        )
        if self._too_early(point) or (self._opens_bucket(point) and self._late_for_long(point)):
            self._begin(index, monotonic_ns)
            point = (0.0, 0.0)
        self._add(point)

    def reopened(self) -> None:
        """The source was opened anew: its frames have another phase. The rate is still what it was."""
        self._empty = True

    def at(self, index: int) -> int:
        """CLOCK_MONOTONIC ns of a frame; of one that is yet to come, when it is due.

        Before the first `update()` there is nothing to go by: raises ValueError.
        """
        if self._empty and not self._buckets:
            raise ValueError("no block was stamped yet")
        nominal_ns = self._nominal_ns(index)
        return self._origin_ns + nominal_ns + round(self._line(nominal_ns / SECOND_NS))

    @property
    def drift(self) -> float:
        """How much slower than nominal the source is, estimated: 1e-4 is 100 ppm."""
        return self._drift

    @property
    def error_ns(self) -> int:
        """How far the least late stamps typically are from the line: what jitter leaves of uncertainty."""
        return round(median(late - self._line(at) for at, late in self._buckets)) if self._buckets else 0

    def _begin(self, index: int, monotonic_ns: int) -> None:
        self._first = index
        self._origin_ns = monotonic_ns
        self._offset = 0.0
        self._buckets: deque[Point] = deque(maxlen=self.BUCKETS)
        self._bucket_begun = 0.0
        self._empty = False

    def _nominal_ns(self, index: int) -> int:
        """ns from the model's first frame at the nominal rate."""
        return (index - self._first) * SECOND_NS * self._rate.denominator // self._rate.numerator

    def _line(self, at: float) -> float:
        return self._offset + self._drift * at * SECOND_NS

    def _too_early(self, point: Point) -> bool:
        at, late = point
        return self._settled and late < self._line(at) - self.STEP_NS

    def _late_for_long(self, point: Point) -> bool:
        """Whether the last seconds' best stamps are all later than scatter explains.

        Not if they were stamped all at once: that is the end of a stall, and what had piled up is read.
        """
        if len(self._buckets) <= 2 * self.LATE_BUCKETS:
            return False
        points = [*self._buckets, point]
        stamps = [at + late / SECOND_NS for at, late in points[-self.LATE_BUCKETS :]]
        if median(later - earlier for earlier, later in pairwise(stamps)) < self.BUCKET_S / 2:
            return False
        distances = [late - self._line(at) for at, late in points]
        before, recent = distances[: -self.LATE_BUCKETS], distances[-self.LATE_BUCKETS :]
        return min(recent) > self._scatter(sorted(before)[len(before) // 4])

    @property
    def _settled(self) -> bool:
        return len(self._buckets) > 1 and self._buckets[-1][0] - self._buckets[0][0] >= self.SETTLED_S

    def _add(self, point: Point) -> None:
        """Keep the best stamp of each second; draw the line anew for each, and when a stamp is below it."""
        at, late = point
        above = late - self._line(at)
        if self._opens_bucket(point):
            self._buckets.append(point)
            self._bucket_begun = at
        elif above < self._buckets[-1][1] - self._line(self._buckets[-1][0]):
            self._buckets[-1] = point
            if above >= 0 and self._settled:
                return
        else:
            return
        self._fit()

    def _opens_bucket(self, point: Point) -> bool:
        return not self._buckets or point[0] - self._bucket_begun >= self.BUCKET_S

    def _fit(self) -> None:
        if self._settled:
            slope, self._offset = line_below(self._telling(), self.MAXIMUM_DRIFT * SECOND_NS)
            self._drift = slope / SECOND_NS
            return
        newest = self._buckets[-1][0]
        recent = [(at, late) for at, late in self._buckets if at >= newest - self.RECENT_S]
        self._offset = min(late - self._drift * at * SECOND_NS for at, late in recent)

    def _telling(self) -> list[Point]:
        """The points without those of stalls: far above the line, they say nothing of where it is."""
        distances = [late - self._line(at) for at, late in self._buckets]
        usual = sorted(distances)[len(distances) // 4]
        near = [point for point, far in zip(self._buckets, distances, strict=True) if far <= self._scatter(usual)]
        return near if len(near) > 1 and near[-1][0] - near[0][0] >= self.SETTLED_S else list(self._buckets)

    def _scatter(self, usual: float) -> float:
        """How far above the line a second's best stamp may be when a quarter of them is nearer than `usual`."""
        return self.STEP_NS + 8 * max(usual, 0.0)


def line_below(points: list[Point], steepest: float) -> tuple[float, float]:
    """Slope and offset of the line below all points that has the least sum of distances to them.

    `points` in ascending order of their abscissae. The slope's magnitude is `steepest` at most.
    """
    hull = lower_hull(points)
    mean = sum(at for at, _ in points) / len(points)
    slope = 0.0
    for (left, low), (right, high) in pairwise(hull):
        if left <= mean <= right:
            slope = (high - low) / (right - left)
            break
    slope = max(-steepest, min(steepest, slope))
    return slope, min(late - slope * at for at, late in points)


def lower_hull(points: list[Point]) -> list[Point]:
    """The lower convex hull, from left to right (A. M. Andrew's monotone chain, 1979)."""
    hull: list[Point] = []
    for point in points:
        while len(hull) > 1 and _turns_right(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def _turns_right(first: Point, second: Point, third: Point) -> bool:
    return (second[0] - first[0]) * (third[1] - first[1]) <= (second[1] - first[1]) * (third[0] - first[0])


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock jumped: times before and after have another distance to CLOCK_MONOTONIC."""

    monotonic_ns: int
    """When it was noticed."""
    before_ns: int
    """What UTC would have been at that instant."""
    after_ns: int
    """What it is."""
    synchronised: bool
    """Whether the clock is synchronised now."""

    @property
    def step_ns(self) -> int:
        """By how much UTC jumped; positive is forward."""
        return self.after_ns - self.before_ns


class WallClock:
    """UTC from CLOCK_MONOTONIC, by samples of both clocks taken together.

    NTP slews both clocks alike, so their distance stays the same until somebody sets the wall clock; in a
    virtual machine it may creep. Small changes are followed, a step is declared.
    """

    STEP_NS = 1_000_000
    CREEP = 5e-4
    """The distance may change by 500 ppm, the most by which the kernel slews a clock, and that is no step."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._sampled_ns = 0
        self._uncertainty_ns = 0
        self._error_ns: int | None = None
        self.synchronised = False
        """Whether the kernel's clock is synchronised, as it was said last."""

    def update(
        self,
        monotonic_ns: int,
        realtime_ns: int,
        *,
        synchronised: bool,
        error_ns: int | None = None,
        uncertainty_ns: int = 0,
    ) -> ClockStep | None:
        """Both clocks were read together; returns the step if UTC jumped since the last time.

        `error_ns` is the kernel's bound of the wall clock's error, `uncertainty_ns` how far apart the two
        readings may have been: within it, the distance is believed to be what it was.
        """
        measured = realtime_ns - monotonic_ns
        before = self._offset_ns
        elapsed = monotonic_ns - self._sampled_ns
        allowed = self.STEP_NS + self.CREEP * elapsed + uncertainty_ns + self._uncertainty_ns
        self.synchronised = synchronised
        self._error_ns = error_ns
        self._sampled_ns = monotonic_ns
        self._uncertainty_ns = uncertainty_ns
        if before is None:
            self._offset_ns = measured
            return None
        if abs(measured - before) > allowed:
            self._offset_ns = measured
            return ClockStep(monotonic_ns, monotonic_ns + before, realtime_ns, synchronised)
        self._offset_ns = max(measured - uncertainty_ns, min(measured + uncertainty_ns, before))
        return None

    def utc(self, monotonic_ns: int) -> int:
        """UTC ns of an instant on CLOCK_MONOTONIC; raises ValueError before the first `update()`.

        Instants before the last step get the new distance too: a clock that was set knows better.
        """
        if self._offset_ns is None:
            raise ValueError("the clocks were not read yet")
        return monotonic_ns + self._offset_ns

    @property
    def error_ns(self) -> int | None:
        """Bound of the error of `utc()`; None while the clock is not synchronised."""
        if not self.synchronised or self._error_ns is None:
            return None
        return self._error_ns + self._uncertainty_ns
