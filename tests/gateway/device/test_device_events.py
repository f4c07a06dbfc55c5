"""Events of a device that may not have a connection when they happen."""

from __future__ import annotations

import threading
from typing import Any

from gateway.device.events import MOST_WAITING, Events


class Wire:
    """Takes events while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.told: list[int] = []
        self.events = Events()
        self.events.through(self.send)

    def send(self, event: str, content: dict[str, Any]) -> bool:
        if self.up:
            self.told.append(content["number"])
        return self.up

    def happen(self, *numbers: int) -> None:
        for number in numbers:
            self.events.add("something", {"number": number})


def test_events_are_told_as_they_happen_with_their_time() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    events = Events()
    events.through(lambda event, content: not told.append((event, content)))  # type: ignore[func-returns-value]
    events.add("outbox_full", {"bound": 5})
    ((event, content),) = told
    assert (event, content["bound"]) == ("outbox_full", 5)
    assert content["time"].endswith("+00:00")


def test_what_happens_before_there_is_a_way_to_tell_it_is_told_later() -> None:
    wire = Wire()
    events = Events()
    events.add("outbox_corrupt", {"number": 1})
    events.through(wire.send)
    events.flush()
    assert wire.told == [1]


def test_what_happens_without_a_connection_is_told_in_order_and_once() -> None:
    wire = Wire()
    wire.up = False
    wire.happen(1, 2, 3)
    wire.up = True
    wire.events.flush()
    wire.happen(4)
    wire.events.flush()
    assert wire.told == [1, 2, 3, 4]


def test_only_the_newest_wait() -> None:
    wire = Wire()
    wire.up = False
    wire.happen(*range(3 * MOST_WAITING))
    wire.up = True
    wire.events.flush()
    assert wire.told == list(range(2 * MOST_WAITING, 3 * MOST_WAITING))


def test_threads_that_tell_at_once_lose_nothing_and_tell_nothing_twice() -> None:
    wire = Wire()
    threads = [threading.Thread(target=wire.happen, args=range(first, 4000, 8)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wire.events.flush()
    assert sorted(wire.told) == list(range(4000))
