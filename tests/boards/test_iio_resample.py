"""From the device's rate to the stream's: against counting done frame by frame."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.iio.resample import Reducer, Run

BOTH: list[Literal["mean", "pick"]] = ["mean", "pick"]


def frames(first: int, count: int) -> Run:
    return Run(first, np.arange(first, first + count, dtype=np.int16)[:, None])


def test_at_the_same_rate_frames_pass_as_they_are() -> None:
    run = frames(7, 3)
    assert Reducer(Fraction(1), "mean").reduce(run) is run


def test_a_frame_is_the_mean_of_those_in_its_period_rounded_to_the_nearest() -> None:
    reduced = Reducer(Fraction(3), "mean").reduce(Run(0, np.array([[1, -9], [2, -9], [5, -7], [9, 9]], np.int16)))
    assert reduced is not None
    assert reduced.index == 0
    assert reduced.frames.tolist() == [[3, -8]]
    assert reduced.frames.dtype == np.int16


def test_means_of_large_values_do_not_overflow() -> None:
    reduced = Reducer(Fraction(4), "mean").reduce(Run(0, np.full((4, 1), 32767, np.int16)))
    assert reduced is not None
    assert reduced.frames.tolist() == [[32767]]


def test_picking_takes_the_first_of_each_period() -> None:
    reduced = Reducer(Fraction(5, 2), "pick").reduce(frames(0, 10))
    assert reduced is not None
    assert reduced.frames[:, 0].tolist() == [0, 3, 5, 8]


def test_a_frame_over_two_runs_waits_for_the_second() -> None:
    reducer = Reducer(Fraction(4), "mean")
    assert reducer.reduce(frames(0, 3)) is None
    reduced = reducer.reduce(frames(3, 1))
    assert reduced is not None
    assert reduced.frames.tolist() == [[2]]


def test_the_time_of_a_mean_is_the_middle_of_its_period() -> None:
    assert Reducer(Fraction(5), "mean").centre(2) == 12
    assert Reducer(Fraction(5), "pick").centre(2) == 10
    assert Reducer(Fraction(1), "mean").centre(2) == 2


ratios = st.fractions(min_value=1, max_value=50, max_denominator=40)
pieces = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12)), min_size=1, max_size=25)


@pytest.mark.parametrize("reduction", BOTH)
@given(ratio=ratios, pieces=pieces)
def test_each_frame_comes_once_if_all_it_is_made_of_came_and_else_not_at_all(
    reduction: Literal["mean", "pick"], ratio: Fraction, pieces: list[tuple[int, int]]
) -> None:
    reducer, end, there, out = Reducer(ratio, reduction), 0, set[int](), {}
    for lost, count in pieces:
        run = frames(end + lost, count)
        there.update(range(run.index, run.end))
        end = run.end
        reduced = reducer.reduce(run)
        for place, value in enumerate([] if reduced is None else reduced.frames[:, 0].tolist()):
            assert reduced is not None
            assert reduced.index + place not in out
            out[reduced.index + place] = value
    expected = {}
    for number in range(int(end / ratio) + 1):
        parts = range(math.ceil(number * ratio), math.ceil((number + 1) * ratio))
        if parts.stop <= end and there.issuperset(parts):
            mean = (sum(parts) + len(parts) // 2) // len(parts)
            expected[number] = mean if reduction == "mean" else parts[0]
    assert out == expected
