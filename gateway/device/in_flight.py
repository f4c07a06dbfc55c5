"""Which message number stands for what, until the broker has answered. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class InFlight(Generic[Item]):
    """What was published on one connection and is not answered yet.

    An answer may overtake the number that it is for: the network thread can have it before `publish()` has
    returned. And a number of one connection means something else on the next.
    """

    def __init__(self, on_answer: Callable[[Item, str | None], None]) -> None:
        """`on_answer` gets what was answered, and why it was rejected, or None if it was taken."""
        self._on_answer = on_answer
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._items: dict[int, Item] = {}
        self._sending = False
        self._early: dict[int, str | None] = {}
        self.connection = 0
        """A number for the connection, that changes with `clear()`."""

    def __len__(self) -> int:
        return len(self._items)

    def send(self, item: Item, publish: Callable[[], int | None]) -> bool:
        """Publish, and remember under which number; False if it did not go out. For one thread alone."""
        with self._lock:
            connection, self._sending = self.connection, True
        number = None
        try:
            number = publish()
        finally:
            self._sent(connection, number, item)
        return number is not None

    def answer(self, number: int, rejection: str | None = None) -> None:
        """The broker answered the message of that number, which may be none of ours."""
        with self._lock:
            item = self._items.pop(number, None)
            if item is None and self._sending:
                self._early[number] = rejection
            self._answered.notify_all()
        if item is not None:
            self._on_answer(item, rejection)

    def clear(self) -> None:
        """The connection is gone, and its numbers with it."""
        with self._lock:
            self.connection += 1
            self._items.clear()
            self._early.clear()
            self._answered.notify_all()

    def wait_for_room(self, most: int, timeout: float) -> bool:
        """Wait until fewer than `most` are in flight; False if they are not in time."""
        with self._lock:
            return self._answered.wait_for(lambda: len(self._items) < most, timeout)

    def _sent(self, connection: int, number: int | None, item: Item) -> None:
        with self._lock:
            early = number in self._early
            rejection = self._early.get(number or 0)
            self._sending = False
            self._early.clear()
            if number is not None and not early and connection == self.connection:
                self._items[number] = item
        if early:
            self._on_answer(item, rejection)
