"""How much may be asked at once, and how much a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.budget import Budget


def test_so_much_at_once_and_then_so_much_a_second() -> None:
    budget = Budget(3, 2.0, 100.0)
    assert [budget.wait_s(100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert [budget.wait_s(100.5), budget.wait_s(100.5)] == [0, 0.5]
    assert [budget.wait_s(200.0) for _ in range(4)] == [0, 0, 0, 0.5], "it does not save for long"


@given(st.lists(st.floats(0, 5), max_size=100))
def test_nobody_gets_more_than_the_burst_and_the_rate(steps: list[float]) -> None:
    budget, now, granted = Budget(5, 10.0, 0.0), 0.0, 0
    for step in steps:
        now += step
        while (wait := budget.wait_s(now)) == 0:
            granted += 1
        assert 0 < wait <= 0.1
        assert granted <= 5 + now * 10 + 1e-6
