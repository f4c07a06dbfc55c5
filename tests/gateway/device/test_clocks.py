"""The clocks of a device: readings that step while everything else goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from gateway.device.clocks import Clocks, Readers
from gateway.device.kernel_clock import KernelClock, Reading

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS


@dataclass
class WallClock:
    """A wall clock that somebody sets, beside the real CLOCK_MONOTONIC."""

    offset_ns: int = 0
    """UTC less CLOCK_MONOTONIC."""
    synchronised: bool = False
    readings: int = 0
    readers: Readers = field(init=False)

    def __post_init__(self) -> None:
        self.readers = Readers(self.read, self.kernel)

    def read(self) -> Reading:
        """Both clocks."""
        self.readings += 1
        now = time.monotonic_ns()
        return Reading(now, now + self.offset_ns, 0)

    def kernel(self) -> KernelClock:
        """What adjtimex would say."""
        return KernelClock(self.synchronised, 5_000_000 if self.synchronised else 16_000_000)


Events = list[tuple[str, dict[str, Any]]]


def clocks_of(wall: WallClock) -> tuple[Clocks, Events]:
    events: Events = []
    return Clocks(lambda event, content: events.append((event, content)), wall.readers), events


def test_without_stand_ins_the_machine_s_own_clocks_are_read() -> None:
    clocks = Clocks(lambda _, __: None)
    before = time.time_ns()
    moment = clocks.moment(time.monotonic_ns())
    assert abs(moment.utc_ns - before) < HOUR_NS


def test_an_instant_is_told_on_both_clocks() -> None:
    wall = WallClock(offset_ns=HOUR_NS)
    clocks, events = clocks_of(wall)
    moment = clocks.moment(7 * SECOND_NS)
    assert (moment.monotonic_ns, moment.utc_ns) == (7 * SECOND_NS, 7 * SECOND_NS + HOUR_NS)
    assert events == []


def test_a_step_is_an_event_that_says_what_it_was_and_what_it_is() -> None:
    wall = WallClock(offset_ns=HOUR_NS, synchronised=True)
    clocks, events = clocks_of(wall)
    wall.offset_ns += 5 * SECOND_NS
    clocks.look()
    clocks.look()
    ((name, content),) = events
    assert name == "clock_step"
    assert content["after_ns"] - content["before_ns"] == 5 * SECOND_NS
    assert content["synchronised"] is True
    assert clocks.moment(SECOND_NS).utc_ns == SECOND_NS + HOUR_NS + 5 * SECOND_NS


def test_the_clocks_are_compared_when_a_batch_is_stamped_but_not_for_each_one() -> None:
    wall = WallClock()
    clocks, events = clocks_of(wall)
    wall.offset_ns = HOUR_NS
    while not events:
        clocks.moment(0)
    for _ in range(1000):
        clocks.moment(0)
    assert [name for name, _ in events] == ["clock_step"]
    assert wall.readings < 500


def test_an_error_is_bounded_only_while_the_clock_is_synchronised() -> None:
    wall = WallClock()
    clocks, _ = clocks_of(wall)
    assert clocks.describe() == {"synchronised": False, "error_ns": None}
    assert clocks.moment(0).error_ns is None
    wall.synchronised = True
    clocks.look()
    assert clocks.describe() == {"synchronised": True, "error_ns": 5_000_000}
    assert clocks.moment(0).error_ns == 5_000_000


def test_a_stream_s_frames_follow_a_step_at_once_and_keep_their_monotonic_time() -> None:
    wall = WallClock()
    clocks, _ = clocks_of(wall)
    stream = clocks.stream(Fraction(1000))
    stream.seen(0, 0)
    before = stream.at(100, 0)
    wall.offset_ns = HOUR_NS
    clocks.look()
    after = stream.at(200, 0)
    assert after.monotonic_ns - before.monotonic_ns == SECOND_NS // 10
    assert after.utc_ns - before.utc_ns == SECOND_NS // 10 + HOUR_NS


def test_irregular_frames_go_by_their_own_stamps() -> None:
    clocks, _ = clocks_of(WallClock(offset_ns=HOUR_NS))
    stream = clocks.stream(None)
    stream.seen(0, 0)
    stream.reopened()
    assert stream.at(17, 42).utc_ns == 42 + HOUR_NS
