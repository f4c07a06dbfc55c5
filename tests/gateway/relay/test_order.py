"""A feed in order: each index once, ascending, and never longer in waiting than it is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Gap
from gateway.relay.delivery import Delivery, Span
from gateway.relay.order import Order

HOLD_S = 10.0


def data(index: int, count: int = 1, *, epoch: int = 1, size: int = 100) -> Delivery:
    return Delivery(Span(epoch, index, index + count), b"." * size)


def spans(deliveries: list[Delivery]) -> list[tuple[int, int, int, str | None]]:
    return [(d.span.epoch, d.span.index, d.span.end, d.span.reason) for d in deliveries]


def order_at(epoch: int = 1, index: int = 0, bound: int = 1 << 20) -> Order:
    return Order((epoch, index), HOLD_S, bound)


def test_what_comes_in_order_is_passed_on_at_once() -> None:
    order = order_at()
    assert spans(order.take(data(0, 5), 0.0)) == [(1, 0, 5, None)]
    assert spans(order.take(data(5, 5), 0.0)) == [(1, 5, 10, None)]
    assert order.position == (1, 10)


def test_what_follows_a_hole_waits_until_it_is_filled() -> None:
    order = order_at()
    assert order.take(data(5, 5), 0.0) == []
    assert order.take(data(10, 5), 1.0) == []
    assert spans(order.take(data(0, 5), 2.0)) == [(1, 0, 5, None), (1, 5, 10, None), (1, 10, 15, None)]


def test_a_hole_that_is_declared_lost_is_filled() -> None:
    order = order_at()
    order.take(data(5), 0.0)
    assert spans(order.take(Delivery.of(Gap(1, 0, 5, "overrun")), 0.0)) == [(1, 0, 5, "overrun"), (1, 5, 6, None)]


def test_after_the_hold_time_what_is_missing_is_declared_and_passed_on_no_more() -> None:
    order = order_at()
    order.take(data(5), 0.0)
    assert order.due(HOLD_S - 0.1) == []
    assert spans(order.due(HOLD_S)) == [(1, 0, 5, "slow"), (1, 5, 6, None)]
    assert order.take(data(0, 5), HOLD_S) == [], "it has been declared lost to these readers"


def test_each_hole_has_a_hold_time_of_its_own() -> None:
    order = order_at()
    order.take(data(1), 0.0)
    order.take(data(3), 9.0)
    assert spans(order.due(HOLD_S)) == [(1, 0, 1, "slow"), (1, 1, 2, None)]
    assert order.due(HOLD_S + 8.9) == []
    assert spans(order.due(HOLD_S + 9.0)) == [(1, 2, 3, "slow"), (1, 3, 4, None)]


def test_more_than_the_bound_does_not_wait() -> None:
    order = order_at(bound=1000)
    passed = [span for index in range(1, 12) for span in spans(order.take(data(index), 0.0))]
    assert passed == [(1, 0, 1, "slow"), *((1, index, index + 1, None) for index in range(1, 12))]


def test_a_new_epoch_waits_for_the_backlog_of_the_one_before() -> None:
    order = order_at(index=10)
    assert order.take(data(0, epoch=2), 0.0) == []
    assert spans(order.take(data(10), 1.0)) == [(1, 10, 11, None)]
    assert spans(order.due(HOLD_S)) == [(2, 0, 1, None)]
    assert order.take(data(11), 20.0) == []


def test_who_begins_before_anything_has_come_begins_with_the_first_that_comes() -> None:
    order = Order((0, 0), HOLD_S, 1 << 20)
    assert spans(order.take(data(500, epoch=7), 0.0)) == [(7, 500, 501, None)]


@given(st.permutations(range(30)), st.lists(st.integers(0, 29), max_size=5), st.integers(200, 5000))
def test_whatever_comes_each_index_is_passed_on_once_and_in_order(
    arrivals: list[int], never: list[int], bound: int
) -> None:
    order, passed = order_at(bound=bound), list[Delivery]()
    for now, index in enumerate(arrivals):
        if index not in never:
            passed += order.take(data(index), now / 2)
            passed += order.due(now / 2)
    passed += order.due(1000.0)
    covered = [index for delivery in passed for index in range(delivery.span.index, delivery.span.end)]
    last = max((index for index in range(30) if index not in never), default=-1)
    assert covered == list(range(last + 1))
