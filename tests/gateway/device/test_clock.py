"""The clock models against a truth that is simulated, and so known to the nanosecond."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.device.clock import SECOND_NS, ClockStep, Point, SampleClock, WallClock, line_below, lower_hull

MS = 1_000_000
START_NS = 4_321 * SECOND_NS

Lateness = Callable[[random.Random], float]
"""ns by which a stamp is late."""


@dataclass
class Source:
    """Hardware with a crystal of its own, and a reader that gets to it when it can."""

    rate: Fraction = Fraction(500)
    drift: float = 0.0
    """How much slower than nominal: 1e-4 is 100 ppm."""
    block: int = 50
    lateness: Lateness = lambda choose: choose.uniform(0, 5 * MS)
    stall_every: float = 0.0
    """Chance of a stall of up to two seconds at a block; what piled up is read at once after it."""
    loss_every: float = 0.0
    """Chance of a loss of up to 300 frames before a block."""
    seed: int = 1

    def true_ns(self, index: int) -> float:
        """When the frame was really taken."""
        return START_NS + index * SECOND_NS / float(self.rate) * (1 + self.drift)

    def blocks(self, seconds: float) -> Iterator[tuple[int, int]]:
        """Index and stamp of each block's first frame."""
        choose = random.Random(self.seed)
        index, free_ns = 0, 0.0
        while index < seconds * self.rate:
            if choose.random() < self.loss_every:
                index += choose.randrange(1, 300)
            if choose.random() < self.stall_every:
                free_ns = self.true_ns(index) + choose.uniform(0, 2 * SECOND_NS)
            read_ns = max(self.true_ns(index) + self.lateness(choose), free_ns)
            yield index, round(read_ns)
            index += self.block


def errors_ns(source: Source, seconds: float = 300) -> list[float]:
    """At each block, how far the model is from the truth for its first and its last frame."""
    clock = SampleClock(source.rate)
    errors: list[float] = []
    for index, stamp in source.blocks(seconds):
        clock.update(index, stamp)
        errors += [abs(clock.at(at) - source.true_ns(at)) for at in (index, index + source.block - 1)]
    return errors


SOURCES = {
    "a good day": Source(lateness=lambda choose: choose.expovariate(1 / (0.1 * MS))),
    "jitter": Source(),
    "fast crystal": Source(drift=-1e-4),
    "slow crystal": Source(drift=1e-4),
    "long tails": Source(drift=1e-4, lateness=lambda choose: 0.3 * MS * (choose.paretovariate(1.2) - 1)),
    "stalls": Source(drift=1e-4, stall_every=0.02),
    "losses": Source(drift=-1e-4, loss_every=0.05),
    "all of it": Source(drift=1e-4, stall_every=0.02, loss_every=0.05),
    "fast": Source(rate=Fraction(25_000), block=2500, drift=1e-4, stall_every=0.02),
    "odd rate": Source(rate=Fraction(1000, 3), block=33, drift=-1e-4),
    "slow": Source(rate=Fraction(50), block=5, drift=1e-4, stall_every=0.02),
}


@pytest.mark.parametrize("name", SOURCES)
def test_samples_are_within_a_millisecond_of_the_truth(name: str) -> None:
    errors = errors_ns(SOURCES[name])
    assert np.percentile(errors, 99) < MS
    settled = errors[len(errors) // 10 :]
    assert max(settled) < MS
    assert np.median(settled) < 0.3 * MS


def test_without_jitter_the_times_are_exact() -> None:
    assert max(errors_ns(Source(lateness=lambda _: 0.0))) < 2


def test_the_drift_is_estimated() -> None:
    source = Source(drift=8e-5)
    clock = SampleClock(source.rate)
    for index, stamp in source.blocks(120):
        clock.update(index, stamp)
    assert clock.drift == pytest.approx(8e-5, abs=5e-6)
    assert 0 < clock.error_ns < 2 * MS


def test_the_model_follows_a_crystal_that_warms_up() -> None:
    choose = random.Random(5)
    clock = SampleClock(Fraction(500))
    now, worst = float(START_NS), 0.0
    for number in range(6000):
        drift = 1e-4 * number / 6000
        clock.update(number * 50, round(now + choose.uniform(0, 5 * MS)))
        if number > 600:
            worst = max(worst, abs(clock.at(number * 50) - now))
        now += 0.1 * SECOND_NS * (1 + drift)
    assert worst < MS


def test_a_long_stall_with_everything_buffered_does_not_move_the_line() -> None:
    source = Source(drift=1e-4)
    clock = SampleClock(source.rate)
    for index, stamp in source.blocks(200):
        in_stall = 100 < index / 500 < 140
        clock.update(index, round(source.true_ns(140 * 500)) if in_stall else stamp)
        if index > 100 * 500:
            assert abs(clock.at(index) - source.true_ns(index)) < MS


@pytest.mark.parametrize("shift", [-400, -30, 30, 400])
def test_a_numbering_that_shifted_is_noticed(shift: int) -> None:
    """A driver that counted its losses wrongly: all that follows is off by so many frames."""
    source = Source()
    clock = SampleClock(source.rate)
    for index, stamp in source.blocks(120):
        shifted = index + (shift if index > 60 * 500 else 0)
        clock.update(shifted, stamp)
        if index > 80 * 500:
            assert abs(clock.at(shifted) - source.true_ns(index)) < 2 * MS


def test_a_source_that_was_opened_anew_has_another_phase_and_the_same_rate() -> None:
    source = Source(rate=Fraction(2), block=1, drift=1e-4)
    clock = SampleClock(source.rate)
    for index, stamp in source.blocks(120):
        clock.update(index, stamp)
    drift = clock.drift
    clock.reopened()
    phase = 0.37 * SECOND_NS
    for index, stamp in source.blocks(10):
        again = index + 300
        clock.update(again, round(stamp + phase + 400 * SECOND_NS))
        truth = source.true_ns(index) + phase + 400 * SECOND_NS
        assert abs(clock.at(again) - truth) < 5 * MS
    assert clock.drift == pytest.approx(drift, abs=5e-5)


def test_a_clock_that_saw_no_block_says_so() -> None:
    with pytest.raises(ValueError, match="no block"):
        SampleClock(Fraction(1)).at(0)


def test_memory_is_bounded() -> None:
    clock = SampleClock(Fraction(500))
    for index, stamp in Source().blocks(600):
        clock.update(index, stamp)
    assert len(clock._buckets) == SampleClock.BUCKETS


points = st.lists(
    st.tuples(st.integers(0, 100), st.integers(-1000, 1000)), min_size=2, max_size=30, unique_by=lambda p: p[0]
)


@given(points)
def test_the_line_lies_below_all_points_and_no_other_such_line_is_closer(found: list[tuple[int, int]]) -> None:
    ascending: list[Point] = sorted((float(x), float(y)) for x, y in found)
    slope, offset = line_below(ascending, steepest=1e9)
    assert all(y - (slope * x + offset) >= -1e-6 for x, y in ascending)
    distance = sum(y - (slope * x + offset) for x, y in ascending)
    hull = lower_hull(ascending)
    for (left, low), (right, high) in pairwise(hull):
        other = (high - low) / (right - left)
        base = low - other * left
        assert distance <= sum(y - (other * x + base) for x, y in ascending) + 1e-6


@dataclass
class Machine:
    """CLOCK_MONOTONIC that runs true, and a wall clock that is set, steps and creeps."""

    offset_ns: int
    creep: float = 0.0
    synchronised: bool = True

    def update(self, wall: WallClock, monotonic_ns: int, uncertainty_ns: int = 200) -> ClockStep | None:
        choose = random.Random(monotonic_ns)
        realtime = self.true_utc(monotonic_ns) + choose.randrange(-uncertainty_ns, uncertainty_ns + 1)
        return wall.update(
            monotonic_ns,
            realtime,
            synchronised=self.synchronised,
            error_ns=300_000,
            uncertainty_ns=uncertainty_ns,
        )

    def true_utc(self, monotonic_ns: int) -> int:
        return monotonic_ns + self.offset_ns + round(self.creep * (monotonic_ns - START_NS))


UTC_NS = 1_795_000_000 * SECOND_NS


@pytest.mark.parametrize("creep", [0.0, 1e-4, -1e-4])
def test_utc_follows_a_wall_clock_that_creeps(creep: float) -> None:
    machine, wall = Machine(UTC_NS, creep), WallClock()
    for second in range(600):
        now = START_NS + second * SECOND_NS
        assert machine.update(wall, now) is None
        for later in (0, SECOND_NS // 2, SECOND_NS):
            assert abs(wall.utc(now + later) - machine.true_utc(now + later)) < MS


def test_a_clock_that_is_seldom_looked_at_may_have_crept_farther() -> None:
    machine, wall = Machine(UTC_NS, creep=1e-4), WallClock()
    for minute in range(5):
        assert machine.update(wall, START_NS + minute * 60 * SECOND_NS) is None


@pytest.mark.parametrize("step_s", [5, -5, 0.002, -0.4])
def test_a_step_is_declared_once_and_followed_at_once(step_s: float) -> None:
    machine, wall = Machine(UTC_NS), WallClock()
    for second in range(20):
        now = START_NS + second * SECOND_NS
        if second == 10:
            machine.offset_ns += round(step_s * SECOND_NS)
        step = machine.update(wall, now)
        assert (step is not None) == (second == 10)
        if step is not None:
            assert step.step_ns == pytest.approx(step_s * SECOND_NS, abs=1000)
            assert step.monotonic_ns == now
        assert abs(wall.utc(now) - machine.true_utc(now)) < 1000


def test_a_board_without_a_battery_starts_in_1970_and_is_then_synchronised() -> None:
    machine, wall = Machine(offset_ns=30 * SECOND_NS - START_NS, synchronised=False), WallClock()
    steps = []
    for second in range(60):
        now = START_NS + second * SECOND_NS
        if second == 30:
            machine.offset_ns, machine.synchronised = UTC_NS, True
        step = machine.update(wall, now)
        steps += [step] if step else []
        assert (wall.error_ns is None) == (second < 30)
        assert wall.synchronised == (second >= 30)
    (step,) = steps
    assert step.before_ns < 100 * SECOND_NS
    assert step.synchronised
    assert wall.error_ns == 300_200
    assert abs(wall.utc(START_NS) - (START_NS + UTC_NS)) < 1000, (
        "earlier frames are restamped by the same distance"
    )


def test_a_reading_that_was_interrupted_moves_nothing() -> None:
    machine, wall = Machine(UTC_NS), WallClock()
    machine.update(wall, START_NS)
    now = START_NS + SECOND_NS
    assert wall.update(now, machine.true_utc(now) + 3 * MS, synchronised=True, uncertainty_ns=4 * MS) is None
    assert abs(wall.utc(now) - machine.true_utc(now)) < 1000


def test_a_wall_clock_that_was_not_read_says_so() -> None:
    with pytest.raises(ValueError, match="not read"):
        WallClock().utc(0)
    assert WallClock().error_ns is None


def test_drift_a_step_and_1970_together_keep_every_sample_within_a_millisecond() -> None:
    """From block stamps to UTC, with the times of 300 s against the truth."""
    source = Source(drift=1e-4, stall_every=0.02)
    machine, wall, clock = (
        Machine(-START_NS, creep=1e-5, synchronised=False),
        WallClock(),
        SampleClock(source.rate),
    )
    errors, read, declared = [], 0, []
    for index, stamp in source.blocks(300):
        if index == 100 * 500:
            machine.offset_ns, machine.synchronised = UTC_NS, True
        if index == 200 * 500:
            machine.offset_ns += 5 * SECOND_NS
        if stamp - read >= SECOND_NS or index in (100 * 500, 200 * 500):
            read = stamp
            step = machine.update(wall, stamp)
            declared += [step.step_ns] if step else []
        clock.update(index, stamp)
        truth = machine.true_utc(round(source.true_ns(index)))
        errors.append(abs(wall.utc(clock.at(index)) - truth))
    assert np.percentile(errors, 99) < MS
    assert len(declared) == 2
    assert declared[1] == pytest.approx(5 * SECOND_NS, abs=100_000)
