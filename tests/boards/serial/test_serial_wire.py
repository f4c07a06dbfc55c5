from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from boards.serial.wire import WireClock

BYTE_NS = 1_000


def test_each_byte_of_a_prompt_read_gets_the_time_it_began() -> None:
    clock = WireClock(BYTE_NS, 0)
    clock.arrived(3, 10_000)
    assert [clock.time_ns(offset) for offset in range(3)] == [7_000, 8_000, 9_000]


def test_the_read_that_brought_a_byte_counts_and_not_a_pause_after_it() -> None:
    clock = WireClock(BYTE_NS, 0)
    clock.arrived(2, 10_000)
    clock.arrived(2, 900_000)
    assert [clock.time_ns(0), clock.time_ns(2)] == [8_000, 898_000]


def test_a_later_prompt_read_corrects_a_late_one() -> None:
    clock = WireClock(BYTE_NS, 0)
    clock.arrived(2, 50_000)  # read 40 us late, while the next bytes were coming in
    clock.arrived(40, 50_000)
    assert clock.time_ns(0) == 50_000 - 42_000


def test_nothing_comes_before_the_opening() -> None:
    clock = WireClock(BYTE_NS, 5_000)
    clock.arrived(100, 6_000)
    assert clock.time_ns(0) == 5_000


def test_bytes_that_come_faster_than_the_line_do_not_turn_time_back() -> None:
    clock = WireClock(BYTE_NS, 0)
    clock.arrived(1, 10_000)
    assert clock.time_ns(0) == 9_000
    clock.arrived(5, 10_001)
    assert [clock.time_ns(offset) for offset in range(1, 6)] == [9_000, 9_000, 9_000, 9_000, 9_001]


def test_without_a_wire_it_is_the_time_of_the_bytes_own_read() -> None:
    clock = WireClock(0, 0)
    for now in (1_000, 2_000, 3_000):
        clock.arrived(10, now)
    assert [clock.time_ns(offset) for offset in (0, 9, 10, 29)] == [1_000, 1_000, 2_000, 3_000]


reads = st.lists(
    st.tuples(st.integers(1, 20), st.integers(0, 30_000), st.integers(0, 30_000)), min_size=1, max_size=30
)


@given(reads)
def test_estimates_are_late_never_early_and_never_go_back(reads: list[tuple[int, int, int]]) -> None:
    """Bytes come back to back but for a pause before each read's first one, and each read returns late."""
    clock, true_times, now, read_at = WireClock(BYTE_NS, 0), [], 0, 0
    for count, pause, delay in reads:
        now += pause
        for _ in range(count):
            true_times.append(now)
            now += BYTE_NS
        read_at = max(read_at, now + delay)
        clock.arrived(count, read_at)
    estimates = [clock.time_ns(offset) for offset in range(len(true_times))]
    assert estimates == sorted(estimates)
    assert all(estimate >= true for estimate, true in zip(estimates, true_times, strict=True))
    assert estimates[-1] <= read_at


def test_what_is_held_is_bounded_by_the_bytes_that_may_still_be_asked_for() -> None:
    clock = WireClock(BYTE_NS, 0)
    for read in range(10_000):
        clock.arrived(1, read * 5_000)
        clock.forget_before(read - 7)
        assert len(clock._bounds) <= 9
