"""Numbers from arrival times, against a kfifo played step by step in simulated time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from boards.iio.arrivals import ArrivalClock, measure_period

MS = 1_000_000
START = 7_000_000_000_000


@dataclass
class Kfifo:
    """A converter that pushes chunks of frames, and the kernel's buffer that refuses them when it is full."""

    period_ns: float
    chunk: int = 1
    capacity: int = 1 << 30
    made: int = 0
    refused: int = 0
    gone: int = 0
    level: int = 0
    skips: dict[int, int] = field(default_factory=dict)
    """At which frame the hardware loses how many."""

    def next_push_ns(self) -> float:
        return START + (self.made + self.chunk) * self.period_ns

    def run_until(self, now: float) -> None:
        while self.next_push_ns() <= now:
            for number in [number for number in self.skips if number <= self.made]:
                lost = self.skips.pop(number)
                self.made += lost
                self.gone += lost
            room = self.capacity - self.level
            self.level += min(room, self.chunk)
            self.refused += max(0, self.chunk - room)
            self.made += self.chunk

    def read(self, now: float) -> tuple[int, bool]:
        self.run_until(now)
        count, self.level = self.level, 0
        return count, count >= self.capacity


@dataclass
class Reader:
    """Reads as BufferedSource does, with scheduling that is late by up to `jitter_ns`."""

    fifo: Kfifo
    clock: ArrivalClock
    want: int
    jitter_ns: float = 0.0
    now: float = 0.0
    told: int = 0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2))

    def late(self) -> float:
        return float(self.random.exponential(self.jitter_ns / 4)) if self.jitter_ns else 0.0

    def step(self) -> None:
        fresh = self.clock.wants_fresh(round(self.now))
        if not fresh:
            due = self.clock.time_ns(self.clock.index + 0.75 * self.want)
            self.now = max(self.now, float(due)) + self.late()
            self.fifo.run_until(self.now)
        if not self.fifo.level:
            self.now, fresh = max(self.now, self.fifo.next_push_ns()) + self.late(), True
        count, full = self.fifo.read(self.now)
        lost = self.clock.arrived(count, round(self.now), full, fresh)
        self.told += lost or 0

    def run(self, seconds: float) -> None:
        end = self.now + seconds * 1e9
        while self.now < end:
            self.step()


def reader(fifo: Kfifo, want: int, jitter_ns: float = 0.0) -> Reader:
    """A reader whose clock was measured for half a second, as at the start of a capture."""
    reads: list[tuple[int, int]] = []
    total, now, random = 0, float(START), np.random.default_rng(1)
    while now < START + 500 * MS:
        now = fifo.next_push_ns() + (random.exponential(jitter_ns / 4) if jitter_ns else 0)
        count, _ = fifo.read(now)
        total += count
        reads.append((total, round(now)))
    period = measure_period(*zip(*reads, strict=True))
    assert period == pytest.approx(fifo.period_ns, rel=2e-3)
    return Reader(fifo, ArrivalClock.measured(reads, period), want, jitter_ns, now)


def fast(capacity: int = 8192) -> Kfifo:
    """200 kS/s from 8 channels, pushed by DMA in pieces of a kilobyte."""
    return Kfifo(40_000, chunk=64, capacity=capacity)


@pytest.mark.parametrize("jitter_ns", [0, MS // 2, 4 * MS])
def test_without_loss_none_is_declared(jitter_ns: int) -> None:
    each = reader(fast(), 2500, jitter_ns)
    each.run(30)
    assert each.fifo.refused == 0
    assert each.told == 0
    assert not each.clock.behind


@pytest.mark.parametrize("jitter_ns", [0, MS // 2])
@pytest.mark.parametrize("pause_s", [0.5, 2.0])
def test_what_a_full_buffer_refused_is_declared_to_a_few_frames(pause_s: float, jitter_ns: int) -> None:
    each = reader(fast(), 2500, jitter_ns)
    each.run(5)
    each.now += pause_s * 1e9
    each.run(5)
    assert each.fifo.refused > 1000
    assert each.told == pytest.approx(each.fifo.refused, abs=4)


def test_errors_of_many_losses_do_not_add_up() -> None:
    each = reader(fast(), 2500, MS // 4)
    for _ in range(20):
        each.run(1)
        each.now += 0.5e9
    each.run(1)
    assert each.fifo.refused > 20_000
    assert each.told == pytest.approx(each.fifo.refused, abs=20)


def test_a_buffer_that_was_just_full_and_refused_nothing_costs_nothing() -> None:
    fifo = fast(capacity=4096)
    each = reader(fifo, 1000)
    each.run(2)
    while fifo.level < fifo.capacity:
        fifo.run_until(fifo.next_push_ns())
    each.now = fifo.next_push_ns() - fifo.chunk * fifo.period_ns
    each.run(2)
    assert fifo.refused == 0
    assert each.told == 0


def test_slow_frames_are_counted_exactly() -> None:
    each = reader(Kfifo(10 * MS, capacity=16), 1, MS // 2)
    each.run(3)
    each.now += 1e9
    each.run(3)
    assert each.fifo.refused > 50
    assert each.told == each.fifo.refused


@pytest.mark.parametrize("error", [-3e-4, 3e-4])
def test_a_clock_that_was_measured_wrongly_finds_the_period_and_declares_nothing(error: float) -> None:
    fifo = fast()
    each = reader(fifo, 2500, MS // 4)
    each.clock.period_ns *= 1 + error
    each.run(60)
    assert each.told == 0
    assert not each.clock.behind
    assert each.clock.period_ns == pytest.approx(fifo.period_ns, rel=2e-5)


def test_the_time_of_a_frame_is_when_it_was_taken() -> None:
    each = reader(fast(), 2500, MS // 4)
    each.run(20)
    index = each.clock.index
    # The clock's frame 0 is the first after the measurement, and a frame is known when its chunk is pushed.
    newest = START + each.fifo.made * each.fifo.period_ns
    assert each.clock.time_ns(index - 1) == pytest.approx(newest, abs=0.3 * MS)


def test_frames_lost_inside_the_hardware_are_noticed() -> None:
    fifo = fast()
    each = reader(fifo, 2500, MS // 4)
    fifo.skips[fifo.made + 50_000] = 400
    behind = [each.clock.behind]
    for seconds in (2, 4):
        each.run(seconds)
        behind.append(each.clock.behind)
    each.clock.restart()
    each.run(2)
    behind.append(each.clock.behind)
    assert behind == [False, False, True, False]
    assert each.told == pytest.approx(fifo.gone, abs=4)


def test_an_empty_read_changes_nothing() -> None:
    clock = ArrivalClock(40_000, START)
    assert clock.arrived(0, START, False, False) == 0
    clock.restart()
    assert clock.arrived(0, START, False, False) is None
    assert clock.index == 0


def test_held_frames_can_be_numbered_when_no_more_come() -> None:
    clock = ArrivalClock(MS, START)
    assert clock.arrived(10, START + 9 * MS, True, True) == 0
    assert clock.arrived(2, START + 31 * MS, False, True) is None
    assert clock.settle() == 20
    assert clock.index == 32
    assert clock.settle() == 0
