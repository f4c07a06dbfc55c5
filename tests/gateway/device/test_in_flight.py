"""Which answer belongs to which message, in any order and over several connections."""

from __future__ import annotations

import pytest

from gateway.device.in_flight import InFlight


class Answers:
    """What was answered, and an `InFlight` that tells it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None]] = []
        self.in_flight = InFlight[str](lambda item, rejection: self.told.append((item, rejection)))

    def send(self, item: str, number: int | None) -> bool:
        return self.in_flight.send(item, lambda: number)


def test_an_answer_is_told_once_with_what_it_is_for() -> None:
    answers = Answers()
    assert answers.send("a", 1)
    assert answers.send("b", 2)
    answers.in_flight.answer(2)
    answers.in_flight.answer(2)
    answers.in_flight.answer(1, "not allowed")
    assert answers.told == [("b", None), ("a", "not allowed")]
    assert len(answers.in_flight) == 0


def test_an_answer_may_overtake_its_number() -> None:
    answers = Answers()

    def publish() -> int:
        answers.in_flight.answer(7)
        answers.in_flight.answer(8, "not allowed")
        return 7

    assert answers.in_flight.send("a", publish)
    assert answers.told == [("a", None)]
    assert answers.send("b", 8)
    assert len(answers.in_flight) == 1, "the early answer to 8 was for something else"


def test_a_rejection_may_overtake_its_number_too() -> None:
    answers = Answers()

    def publish() -> int:
        answers.in_flight.answer(7, "not allowed")
        return 7

    answers.in_flight.send("a", publish)
    assert answers.told == [("a", "not allowed")]


def test_what_did_not_go_out_is_not_in_flight() -> None:
    answers = Answers()
    assert not answers.send("a", None)
    assert len(answers.in_flight) == 0


def test_numbers_of_a_connection_that_is_gone_stand_for_nothing() -> None:
    answers = Answers()
    answers.send("a", 1)
    answers.in_flight.clear()
    answers.in_flight.answer(1)
    assert answers.told == []


def test_a_connection_that_ends_while_a_message_is_published_takes_its_number_along() -> None:
    """On the next connection that number is another message's, and its answer must not count for this one."""
    answers = Answers()

    def publish() -> int:
        answers.in_flight.clear()
        return 1

    answers.in_flight.send("old", publish)
    answers.in_flight.answer(1)
    assert answers.told == []
    answers.send("new", 1)
    answers.in_flight.answer(1)
    assert answers.told == [("new", None)]


def test_an_error_while_publishing_leaves_nothing_behind() -> None:
    answers = Answers()

    def publish() -> int:
        raise ValueError("too large")

    with pytest.raises(ValueError, match="too large"):
        answers.in_flight.send("a", publish)
    answers.in_flight.answer(3)
    answers.send("b", 3)
    assert answers.told == []


def test_there_is_room_again_when_something_is_answered_or_given_up() -> None:
    answers = Answers()
    answers.send("a", 1)
    answers.send("b", 2)
    assert not answers.in_flight.wait_for_room(2, 0.0)
    answers.in_flight.answer(1)
    assert answers.in_flight.wait_for_room(2, 0.0)
    assert not answers.in_flight.wait_for_room(1, 0.0)
    answers.in_flight.clear()
    assert answers.in_flight.wait_for_room(1, 0.0)
