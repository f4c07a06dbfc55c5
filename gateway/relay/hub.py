"""Fan-out with a bound for each subscriber. Pure: it writes to `Sink`s and knows no sockets.

A subscriber that keeps up is written to at once. One that does not has a queue, bounded in bytes; what falls
out of the queue is declared to that subscriber as gaps with the reason `slow`, before the next data it gets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.model import Gap

Framing = Callable[[bytes], bytes]
"""A payload as it stands on one kind of wire."""


@dataclass(slots=True)
class Delivery:
    """One message of a stream on its way to every subscriber; each wire form is made once."""

    payload: bytes
    epoch: int
    index: int
    count: int
    _forms: dict[Framing, bytes] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The index after its last frame."""
        return self.index + self.count

    def form(self, framing: Framing) -> bytes:
        """The bytes for one kind of wire."""
        wire = self._forms.get(framing)
        if wire is None:
            wire = self._forms[framing] = framing(self.payload)
        return wire


class Sink(Protocol):
    """Where a subscriber's bytes go. Nothing here blocks or raises."""

    framing: Framing

    def writable(self) -> bool:
        """Whether the next write will not pile up."""

    def write(self, wire: bytes) -> None:
        """Take the bytes."""


class Subscriber:
    """One reader of one stream: a sink, and the queue before it."""

    def __init__(self, sink: Sink, bound: int, encode_gap: Callable[[Gap], bytes]) -> None:
        self._sink = sink
        self._bound = bound
        self._encode_gap = encode_gap
        self._notes: dict[str, bytes] = {}
        self._queue: deque[Delivery] = deque()
        self._missed: deque[Gap] = deque()
        self.queued_bytes = 0
        self.lost_frames = 0

    @property
    def behind(self) -> bool:
        """Whether anything waits."""
        return bool(self._queue or self._missed or self._notes)

    def note(self, about: str, wire: bytes) -> None:
        """Tell something beside the data; of two notes about the same, only the newer one counts."""
        self._notes.pop(about, None)
        self._notes[about] = wire
        self.pump()

    def offer(self, delivery: Delivery) -> None:
        """Deliver now, or queue, or lose the oldest and remember what was lost."""
        if not self.behind and self._sink.writable():
            self._sink.write(delivery.form(self._sink.framing))
            return
        self._queue.append(delivery)
        self.queued_bytes += len(delivery.payload)
        self.pump()
        while self.queued_bytes > self._bound:
            self._miss(self._queue.popleft())

    def pump(self) -> None:
        """Write as much of what waits as the sink takes: notes, then what was lost, then data."""
        while self._notes and self._sink.writable():
            about = next(iter(self._notes))
            self._sink.write(self._notes.pop(about))
        while self._missed and self._sink.writable():
            self._sink.write(self._sink.framing(self._encode_gap(self._missed.popleft())))
        while self._queue and self._sink.writable():
            delivery = self._queue.popleft()
            self.queued_bytes -= len(delivery.payload)
            self._sink.write(delivery.form(self._sink.framing))

    def forget(self) -> None:
        """Drop what waits of the stream, undeclared: the subscriber has left it."""
        self._queue.clear()
        self._missed.clear()
        self.queued_bytes = 0

    def _miss(self, delivery: Delivery) -> None:
        self.queued_bytes -= len(delivery.payload)
        self.lost_frames += delivery.count
        if self._missed:
            last = self._missed[-1]
            if (last.epoch, last.end) == (delivery.epoch, delivery.index):
                self._missed[-1] = Gap(last.epoch, last.index, last.count + delivery.count, "slow")
                return
        self._missed.append(Gap(delivery.epoch, delivery.index, delivery.count, "slow"))


class Hub:
    """Which subscribers read which stream.

    `on_behind` is called when a subscriber falls behind: call `pump()` now and then until it says that none is.
    """

    def __init__(self, on_behind: Callable[[], None]) -> None:
        self._on_behind = on_behind
        self._readers: dict[str, dict[Subscriber, None]] = {}
        self._behind: dict[Subscriber, None] = {}

    def subscribe(self, stream: str, subscriber: Subscriber) -> None:
        """Deliver the stream to the subscriber from the next message on."""
        self._readers.setdefault(stream, {})[subscriber] = None

    def unsubscribe(self, stream: str, subscriber: Subscriber) -> None:
        """Deliver no more of the stream; what is queued of it is forgotten."""
        readers = self._readers.get(stream, {})
        readers.pop(subscriber, None)
        if not readers:
            self._readers.pop(stream, None)
        subscriber.forget()

    def forget(self, subscriber: Subscriber) -> None:
        """It is gone: nothing is for it any more."""
        for stream in [stream for stream, readers in self._readers.items() if subscriber in readers]:
            self.unsubscribe(stream, subscriber)
        self._behind.pop(subscriber, None)

    def tell(self, subscriber: Subscriber, about: str, wire: bytes) -> None:
        """Tell one subscriber something beside the data; it waits for room like the data."""
        subscriber.note(about, wire)
        self._look_after(subscriber)

    def subscribers(self, stream: str) -> list[Subscriber]:
        """Who reads the stream."""
        return list(self._readers.get(stream, ()))

    def publish(self, stream: str, delivery: Delivery) -> None:
        """Offer the message to every reader of the stream."""
        for subscriber in self._readers.get(stream, ()):
            subscriber.offer(delivery)
            self._look_after(subscriber)

    def pump(self) -> bool:
        """Serve those who fell behind; whether any still is."""
        for subscriber in list(self._behind):
            subscriber.pump()
            if not subscriber.behind:
                del self._behind[subscriber]
        return bool(self._behind)

    def _look_after(self, subscriber: Subscriber) -> None:
        if subscriber.behind and subscriber not in self._behind:
            self._behind[subscriber] = None
            self._on_behind()
