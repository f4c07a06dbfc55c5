"""How long to wait before the next try."""

from __future__ import annotations

from gateway.backoff import Backoff


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    for _ in range(50):
        backoff = Backoff(first_s=1, most_s=10)
        steps = [1, 2, 4, 8, 10, 10]
        waits = [backoff.next_s() for _ in steps]
        assert all(step / 2 <= wait <= step for step, wait in zip(steps, waits, strict=True)), waits


def test_two_do_not_wait_alike() -> None:
    assert len({Backoff().next_s() for _ in range(20)}) > 10


def test_success_begins_with_the_shortest_wait_again() -> None:
    backoff = Backoff(first_s=1, most_s=1000)
    for _ in range(2000):
        assert backoff.next_s() <= 1000
    backoff.reset()
    assert backoff.next_s() <= 1
