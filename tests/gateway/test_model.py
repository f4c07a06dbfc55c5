"""Frames, their numbers and their times."""

from __future__ import annotations

from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.base import LossReason
from gateway.model import GAP_REASONS, Batch, Gap, Stream, frame_offsets_ns

NS = 1_000_000_000


def batch(frames: int, rate: Fraction | None, **fields: object) -> Batch:
    return Batch(1, 10, 1_000, 0, np.zeros((frames, 2), dtype=np.int16), rate=rate, **fields)  # type: ignore[arg-type]


def test_a_batch_covers_the_indices_from_its_first_up_to_its_end() -> None:
    assert (batch(5, Fraction(1)).frames, batch(5, Fraction(1)).end) == (5, 15)
    assert Gap(1, 10, 5, "late").end == 15


def test_times_at_a_thousand_thirds_of_a_hertz_are_exact() -> None:
    times = batch(1001, Fraction(1000, 3)).times_ns() - 1_000
    assert times[:4].tolist() == [0, 3_000_000, 6_000_000, 9_000_000]
    assert times[1000] == 3 * NS


def test_times_at_three_hertz_never_drift() -> None:
    offsets = frame_offsets_ns(Fraction(3), 3 * 86_400 + 1)
    assert offsets[1:3].tolist() == [333_333_333, 666_666_666]
    assert offsets[-1] == 86_400 * NS


@given(
    st.fractions(min_value=Fraction(1, 10**12), max_value=10**12),
    st.integers(1, 200),
)
def test_each_offset_is_the_exact_one_rounded_down(rate: Fraction, count: int) -> None:
    exact = [k * NS * rate.denominator // rate.numerator for k in range(count)]
    if exact[-1] >= 1 << 63:
        with pytest.raises(OverflowError):
            frame_offsets_ns(rate, count)
        return
    offsets = frame_offsets_ns(rate, count)
    assert offsets.dtype == np.int64
    assert offsets.tolist() == exact


def test_an_irregular_batch_has_the_times_it_says() -> None:
    offsets = np.array([0, 7, 5], dtype=np.int64)
    assert batch(3, None, offsets_ns=offsets).times_ns().tolist() == [1_000, 1_007, 1_005]


def test_whatever_a_board_can_lose_can_be_declared() -> None:
    assert set(get_args(LossReason)) <= GAP_REASONS


def test_a_stream_is_named_by_device_and_name() -> None:
    assert Stream("bbb1", "ecg", (), Fraction(500)).key == "bbb1/ecg"
