"""What is read from a status, whoever wrote it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.birth import Told, birth_of


def status(**changes: Any) -> dict[str, Any]:
    previous = [
        {"stream": "ecg", "epoch": 3, "reached": 100, "backlog": [[10, 20], [40, 100]]},
        {"stream": "resp", "epoch": 3, "reached": 7, "backlog": []},
        {"stream": "ecg", "epoch": 4, "reached": 5, "backlog": []},
    ]
    return {"online": True, "epoch": 5, "acquired": {"ecg": 50, "resp": 9}, "previous": previous, **changes}


def test_it_tells_of_one_stream_alone() -> None:
    birth = birth_of(status(), "ecg")
    assert birth is not None
    assert (birth.epoch, birth.stopped, birth.acquired) == (5, False, 50)
    assert birth.previous == {3: Told(100, ((10, 20), (40, 100))), 4: Told(5)}
    assert birth.told_of(2) == Told()


def test_only_a_goodbye_is_a_stop() -> None:
    def stopped(**changes: Any) -> bool:
        birth = birth_of(status(**changes), "ecg")
        return birth is not None and birth.stopped

    assert stopped(online=False, reason="stopped")
    assert not stopped(online=False, reason="connection lost")
    assert not stopped(online=True, reason="stopped")


@pytest.mark.parametrize("previous", [None, 5, {}, "none"])
def test_a_device_that_does_not_know_its_earlier_epochs_tells_nothing_of_them(previous: object) -> None:
    birth = birth_of(status(previous=previous), "ecg")
    assert birth is not None
    assert birth.previous is None


@pytest.mark.parametrize(
    "entry",
    [
        5,
        {},
        {"stream": "ecg", "epoch": "3", "reached": 5, "backlog": []},
        {"stream": "ecg", "epoch": 3, "reached": -5, "backlog": []},
        {"stream": "ecg", "epoch": 3, "reached": 5, "backlog": 7},
    ],
)
def test_entries_that_are_none_are_left_out(entry: object) -> None:
    birth = birth_of(status(previous=[entry]), "ecg")
    assert birth is not None
    assert birth.previous == {}


def test_ranges_that_are_none_are_left_out_and_the_others_put_in_order() -> None:
    backlog = [[7, 9], [5, 5], [9, 3], [-1, 4], "x", [1, 2, 3], [0.5, 2], [0, 3], [1 << 70, 1 << 71]]
    entry = {"stream": "ecg", "epoch": 3, "reached": 9, "backlog": backlog}
    birth = birth_of(status(previous=[entry]), "ecg")
    assert birth is not None
    assert birth.told_of(3).backlog == ((0, 3), (7, 9))


@pytest.mark.parametrize("epoch", [None, "5", -1, 1.5, True, 1 << 70])
def test_without_an_epoch_it_is_no_birth(epoch: object) -> None:
    assert birth_of(status(epoch=epoch), "ecg") is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
keys = st.sampled_from(["online", "epoch", "acquired", "previous", "reason"])


@given(st.dictionaries(keys, values))
def test_nothing_that_json_can_say_makes_it_fail(content: dict[str, Any]) -> None:
    birth_of(content, "ecg")
    birth_of({**content, "epoch": 5}, "ecg")
