"""When a hole is asked for."""

from __future__ import annotations

import json
from itertools import pairwise

from gateway.repair import AGAIN_S, GRACE_S, MOST_RANGES, Repairs, resend_request

HOLE = {2: [(10, 20)]}


def test_a_hole_has_time_to_fill_by_itself() -> None:
    repairs = Repairs()
    assert repairs.due(HOLE, 0.0) == {}
    assert repairs.due(HOLE, GRACE_S - 0.01) == {}
    assert repairs.due(HOLE, GRACE_S) == HOLE


def test_it_is_asked_for_again_when_that_did_not_help_and_not_before() -> None:
    repairs = Repairs()
    repairs.due(HOLE, 0.0)
    asked = [now / 10 for now in range(100) if repairs.due(HOLE, now / 10)]
    assert len(asked) == 1 + int((9.9 - GRACE_S) / AGAIN_S)
    assert all(later - earlier >= AGAIN_S for earlier, later in pairwise(asked))


def test_a_hole_that_was_filled_and_comes_back_has_its_time_anew() -> None:
    repairs = Repairs()
    repairs.due(HOLE, 0.0)
    repairs.due(HOLE, GRACE_S)
    assert repairs.due({}, GRACE_S) == {}
    assert repairs.due(HOLE, GRACE_S + AGAIN_S) == {}
    assert repairs.due(HOLE, 2 * GRACE_S + AGAIN_S) == HOLE


def test_each_hole_has_its_own_time_and_each_epoch_is_asked_for_by_itself() -> None:
    repairs = Repairs()
    repairs.due({1: [(0, 5)]}, 0.0)
    both = {1: [(0, 5), (7, 9)], 2: [(0, 5)]}
    assert repairs.due(both, GRACE_S) == {1: [(0, 5)]}
    assert repairs.due(both, 2 * GRACE_S) == {1: [(7, 9)], 2: [(0, 5)]}


def test_of_very_many_holes_the_first_are_asked_for() -> None:
    many = [(start, start + 1) for start in range(0, 10 * MOST_RANGES, 2)]
    repairs = Repairs()
    repairs.due({1: many}, 0.0)
    assert repairs.due({1: many}, GRACE_S) == {1: many[:MOST_RANGES]}


def test_a_request_is_json_that_a_device_understands() -> None:
    assert json.loads(resend_request("ecg", 5, [(0, 3), (7, 9)])) == {
        "stream": "ecg",
        "epoch": 5,
        "ranges": [[0, 3], [7, 9]],
    }
