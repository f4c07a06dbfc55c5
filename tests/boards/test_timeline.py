"""Due times and frame counts are exact and agree with each other."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from boards.timeline import Timeline

RATES = st.fractions(Fraction(1, 1000), 200_000, max_denominator=10**6)


@given(start=st.integers(0, 10**18), rate=RATES, frame=st.integers(0, 10**13))
def test_a_frame_is_due_from_its_time_on_and_not_before(start: int, rate: Fraction, frame: int) -> None:
    line = Timeline(start, rate)
    due = line.due_ns(frame)
    assert line.frames_due(due) == frame + 1
    assert line.frames_due(due - 1) == frame


@given(rate=RATES, seconds=st.integers(0, 10**9))
def test_no_rational_rate_drifts(rate: Fraction, seconds: int) -> None:
    line = Timeline(0, rate)
    assert line.due_ns(seconds * rate.numerator) == seconds * rate.denominator * 1_000_000_000


def test_nothing_is_due_before_the_start() -> None:
    assert Timeline(1000, Fraction(1)).frames_due(999) == 0
