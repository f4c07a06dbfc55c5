"""Numbers from time stamps: losses are found, lateness is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.iio.stamps import CONFIRM, StampClock

PERIOD = 1_000_000
START = 5_000_000_000_000


def numbered(clock: StampClock, stamps: Any, each: int) -> list[int]:
    """Feed the stamps `each` at a time, giving back what is held, as the source does."""
    numbers: list[int] = []
    held = np.empty(0, np.int64)
    for begin in range(0, len(stamps), each):
        held = np.concatenate([held, stamps[begin : begin + each]])
        known = clock.number(held)
        numbers += known.tolist()
        held = held[len(known) :]
    numbers += clock.number(held, hold=False).tolist()
    return numbers


def stamps_of(numbers: Any, late: Any = 0, period: float = PERIOD) -> Any:
    return (START + np.asarray(numbers) * period + late).astype(np.int64)


def test_even_stamps_count_up() -> None:
    assert numbered(StampClock(PERIOD), stamps_of(np.arange(500)), 50) == list(range(500))


@pytest.mark.parametrize("each", [1, 7, 50, 1000])
def test_a_jump_of_k_periods_is_k_minus_1_lost(each: int) -> None:
    true = np.delete(np.arange(1000), [*range(300, 305), 700])
    assert numbered(StampClock(PERIOD), stamps_of(true), each) == true.tolist()


@pytest.mark.parametrize("each", [5, 40, 300])
def test_late_stamps_are_no_loss_and_hide_none(each: int) -> None:
    random = np.random.default_rng(3)
    true = np.delete(np.arange(3000), [800, 801, 802, 1500])
    late = random.exponential(0.3 * PERIOD, len(true))
    late[::97] += 3.6 * PERIOD
    found = numbered(StampClock(PERIOD), stamps_of(true, late), each)
    assert found[-1] == true[-1]
    assert np.count_nonzero(found != true) < 5  # a late frame just before a loss may be taken for one after it


def test_a_burst_of_late_stamps_that_catches_up_is_no_loss() -> None:
    late = np.zeros(400)
    late[100:110] = np.arange(10, 0, -1) * PERIOD
    assert numbered(StampClock(PERIOD), stamps_of(np.arange(400), late), 25) == list(range(400))


@pytest.mark.parametrize("error", [-3e-3, 3e-3])
def test_the_clock_follows_a_device_whose_clock_is_wrong(error: float) -> None:
    true = np.delete(np.arange(200_000), range(123_000, 123_040))
    stamps = stamps_of(true, period=PERIOD * (1 + error))
    clock = StampClock(PERIOD)
    assert numbered(clock, stamps, 50) == true.tolist()
    assert clock.period_ns == pytest.approx(PERIOD * (1 + error), rel=1e-5)


def test_frames_after_a_jump_are_held_until_enough_confirm_it() -> None:
    clock = StampClock(PERIOD)
    true = np.array([*range(10), *range(12, 12 + CONFIRM - 1)])
    assert clock.number(stamps_of(true)).tolist() == list(range(10))
    rest = np.arange(12, 14 + CONFIRM)
    assert clock.number(stamps_of(rest)).tolist() == rest.tolist()


def test_nobody_waits_for_ever() -> None:
    clock = StampClock(PERIOD)
    clock.number(stamps_of(range(10)))
    assert clock.number(stamps_of([12])).tolist() == []
    assert clock.number(stamps_of([12]), hold=False).tolist() == [12]


def test_the_time_of_a_frame_is_when_it_was_due() -> None:
    clock = StampClock(PERIOD)
    clock.number(stamps_of(np.arange(100), np.where(np.arange(100) % 3, 200_000, 0)))
    assert clock.time_ns(40) == pytest.approx(START + 40 * PERIOD, abs=1000)


@given(
    st.lists(st.tuples(st.integers(60, 200), st.integers(1, 30)), min_size=1, max_size=5),
    st.integers(1, 90),
    st.integers(0, 2**31),
)
def test_any_losses_under_any_lateness_below_three_quarters_of_a_period_are_counted_exactly(
    parts: list[tuple[int, int]], each: int, seed: int
) -> None:
    end, true = 0, list[int]()
    for count, lost in parts:
        true += range(end, end + count)
        end += count + lost
    late = np.random.default_rng(seed).uniform(0, 0.7 * PERIOD, len(true))
    assert numbered(StampClock(PERIOD), stamps_of(true, late), each) == true
