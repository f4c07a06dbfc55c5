"""A feed in order: what comes is passed on by epoch and index, and what is missing is waited for. Pure.

Backlog comes beside live data. Who wants each index once and in order gets nothing after a hole until it is
filled, or until it has been waited for long enough; then what is missing is declared lost to those readers, and is
not passed on when it comes after all.
"""

from __future__ import annotations

from bisect import insort

from gateway.model import Gap
from gateway.relay.delivery import Delivery
from gateway.relay.history import Key

NOWHERE: Key = (0, 0)
"""Where a feed is that begins with the first message that comes."""


class Order:
    """One stream's messages, from a place on."""

    def __init__(self, position: Key, hold_s: float, bound: int) -> None:
        self.position = position
        """(epoch, index) of the first frame that was not passed on."""
        self._hold_s = hold_s
        self._bound = bound
        """Bytes that may wait."""
        self._waiting: list[tuple[Delivery, float]] = []
        """Ascending, and when each came."""
        self._bytes = 0

    def take(self, delivery: Delivery, now_s: float) -> list[Delivery]:
        """What may be passed on now that this has come."""
        if self.position == NOWHERE:
            self.position = _place(delivery)
        if _place(delivery) < self.position:
            return []
        if not self._waiting and _place(delivery) == self.position:  # nearly always
            self.position = delivery.span.epoch, delivery.span.end
            return [delivery]
        insort(self._waiting, (delivery, now_s), key=lambda waiting: _place(waiting[0]))
        self._bytes += len(delivery.payload)
        return self.due(now_s)

    def due(self, now_s: float) -> list[Delivery]:
        """What may be passed on as time has gone by."""
        passed = self._follow()
        while self._waiting and (now_s - self._waiting[0][1] >= self._hold_s or self._bytes > self._bound):
            passed += self._give_up()
            passed += self._follow()
        return passed

    def _follow(self) -> list[Delivery]:
        """Those that wait and have nothing missing before them."""
        passed = []
        for delivery, _ in self._waiting:
            if _place(delivery) != self.position:
                break
            self.position = delivery.span.epoch, delivery.span.end
            self._bytes -= len(delivery.payload)
            passed.append(delivery)
        del self._waiting[: len(passed)]
        return passed

    def _give_up(self) -> list[Delivery]:
        """Wait no longer for what is missing before the first of those that wait."""
        epoch, index = _place(self._waiting[0][0])
        start = self.position[1] if epoch == self.position[0] else 0
        self.position = epoch, index
        return [Delivery.of(Gap(epoch, start, index - start, "slow"))] if start < index else []


def _place(delivery: Delivery) -> Key:
    return delivery.span.epoch, delivery.span.index
