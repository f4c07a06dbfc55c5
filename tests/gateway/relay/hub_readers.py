"""Readers of a hub that take what they are told to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.model import Gap
from gateway.relay.delivery import Delivery, Span
from gateway.relay.hub import Hub
from gateway.relay.subscriber import ENTRY_BYTES, Policy, Subscriber

STREAM = "d/s"
SIZE = 100
THREE = 3 * (SIZE + ENTRY_BYTES)
"""A bound for three of `data()`."""


def lines(delivery: Delivery) -> bytes:
    """A form that can be read back: a line, as long as the payload."""
    span = delivery.span
    text = f"{span.reason or 'data'} {span.epoch}:{span.index}-{span.end}"
    return text.ljust(len(delivery.payload) - 1, ".").encode() + b"\n"


class Sink:
    """Takes so many writes, and then no more until it is given room."""

    def __init__(self, room: int = 1 << 60) -> None:
        self.room = room
        self.wires: list[bytes] = []
        self.ended: list[str] = []
        self.later: list[Callable[[], None]] = []

    def send(self, wire: bytes) -> bool:
        assert self.room > 0, "written to a sink that takes nothing"
        self.room -= 1
        self.wires.append(wire)
        return self.room > 0

    def end(self, reason: str) -> None:
        self.ended.append(reason)

    def soon(self, work: Callable[[], None]) -> None:
        self.later.append(work)

    def take(self) -> list[str]:
        """What came since the last time, line by line."""
        wires, self.wires = self.wires, []
        return [line.decode().rstrip(".") for line in b"".join(wires).splitlines()]


def data(index: int, count: int = 1, *, epoch: int = 1, size: int = SIZE) -> Delivery:
    return Delivery(Span(epoch, index, index + count), b"." * size)


def declared(index: int, count: int, reason: str = "overrun", epoch: int = 1) -> Delivery:
    return Delivery.of(Gap(epoch, index, count, reason))  # type: ignore[arg-type]


@dataclass
class Reader:
    """A sink and its subscriber, in one hub."""

    hub: Hub
    bound: int = THREE
    policy: Policy = "drop_oldest"
    room: int = 1 << 60
    sink: Sink = field(init=False)
    subscriber: Subscriber = field(init=False)

    def __post_init__(self) -> None:
        self.sink = Sink(self.room)
        self.subscriber = Subscriber(self.sink, lines, self.bound, self.policy)
        if not self.room:
            self.subscriber.stall()
        self.hub.subscribe(STREAM, self.subscriber)

    def give(self, room: int) -> None:
        self.sink.room = room
        if room:
            self.subscriber.resume()
        else:
            self.subscriber.stall()
        while self.sink.later:
            self.sink.later.pop(0)()

    def take(self) -> list[str]:
        return self.sink.take()


def publish(hub: Hub, *deliveries: Delivery) -> None:
    for delivery in deliveries:
        hub.publish(STREAM, delivery)


def ranges(came: object) -> list[tuple[int, int]]:
    """The frames of epoch 1 that data and gaps speak of, merged where one follows the other."""
    merged: list[tuple[int, int]] = []
    for line in came:  # type: ignore[attr-defined]
        if ":" not in line:
            continue
        first, end = map(int, line.split(":")[1].split("-"))
        if merged and merged[-1][1] == first:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((first, end))
    return merged
