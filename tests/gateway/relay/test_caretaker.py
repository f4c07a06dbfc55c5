"""What is missing is asked for, and declared once it will not come."""

from __future__ import annotations

import json
from typing import Any

from gateway.codec import CODECS
from gateway.model import Gap, Message
from gateway.relay.caretaker import PATIENCE_S, Caretaker, endings
from gateway.relay.catalogue import StreamState
from gateway.repair import AGAIN_S, GRACE_S
from tests.support.messages import batch


class Yard:
    """One stream and its caretaker."""

    def __init__(self) -> None:
        self.state = StreamState("d", "s")
        self.published: list[Message] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.concluded: list[tuple[str, int, int, int]] = []
        self.caretaker = Caretaker(
            {"d/s": self.state},
            lambda _, delivery: self.published.append(delivery.message),
            lambda device, request: self.asked.append((device, json.loads(request))),
            lambda *told: self.concluded.append(told),
        )

    def take(self, *messages: Message) -> None:
        for message in messages:
            self.state.intake.take(CODECS["cbor"].encode(message))


def birth(reached: int, backlog: list[list[int]]) -> dict[str, Any]:
    return {"epoch": 2, "previous": [{"stream": "s", "epoch": 1, "reached": reached, "backlog": backlog}]}


def test_a_hole_is_asked_for_after_a_while_and_again_until_it_is_filled() -> None:
    yard = Yard()
    yard.take(batch(0, 10), batch(20, 10))
    yard.caretaker.tick(0)
    assert yard.asked == []
    yard.caretaker.tick(GRACE_S)
    request = ("d", {"stream": "s", "epoch": 1, "ranges": [[10, 20]]})
    assert yard.asked == [request]
    yard.caretaker.tick(GRACE_S + AGAIN_S)
    assert yard.asked == [request, request]
    yard.take(batch(10, 10))
    yard.caretaker.tick(100)
    assert len(yard.asked) == 2


def test_what_a_birth_rules_out_is_declared_once_what_was_sent_before_has_had_its_time() -> None:
    yard = Yard()
    yard.take(batch(0, 10), batch(0, 10, epoch=2))
    yard.caretaker.take_status("d", birth(50, [[40, 50]]), 0)
    yard.take(batch(10, 10))
    yard.caretaker.tick(0)
    assert yard.published == []
    yard.caretaker.tick(PATIENCE_S)
    assert yard.published == [Gap(1, 20, 20, "crash")]
    yard.caretaker.tick(2 * PATIENCE_S)
    assert len(yard.published) == 1


def test_a_birth_of_a_stream_that_was_never_seen_declares_nothing() -> None:
    yard = Yard()
    yard.caretaker.take_status("other", birth(50, []), 0)
    yard.caretaker.tick(PATIENCE_S)
    assert yard.published == []


def test_what_a_birth_should_not_say_is_passed_over() -> None:
    wrong: list[Any] = [
        5,
        [5],
        [{}],
        [{"stream": "s", "epoch": 1, "reached": -1, "backlog": []}],
        [{"stream": "s", "epoch": 1, "reached": 5, "backlog": [[1]]}],
        [{"stream": "s", "epoch": 1, "reached": 5, "backlog": [["1", 2]]}],
    ]
    assert all(endings("d", {"previous": previous}, 0) == [] for previous in wrong)


def test_an_epoch_that_is_over_is_told_with_its_length_and_the_one_that_followed() -> None:
    yard = Yard()
    yard.take(batch(0, 60), batch(0, 10, epoch=5), batch(0, 10, epoch=7))
    previous = [
        {"stream": "s", "epoch": 1, "reached": 50, "backlog": []},
        {"stream": "s", "epoch": 5, "reached": 30, "backlog": [[10, 30]]},
        {"stream": "other", "epoch": 3, "reached": 1, "backlog": []},
    ]
    yard.caretaker.take_status("d", {"epoch": 7, "previous": previous}, 0)
    yard.caretaker.tick(PATIENCE_S)
    assert yard.concluded == [("d/s", 1, 60, 5), ("d/s", 5, 30, 7)]
