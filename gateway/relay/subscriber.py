"""One reader of one feed: a sink, and the bounded queue before it. Pure: it knows no sockets.

A reader that keeps up is written to at once, by the hub. One that does not has a queue, bounded in bytes; what
falls out of it is declared to that reader as gaps, exactly, before the next data it gets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

from gateway.model import Gap
from gateway.relay.delivery import Delivery, Form, Span
from gateway.relay.missed import Missed

Policy = Literal["drop_oldest", "decimate", "disconnect"]
"""What happens when the queue is full.

drop_oldest: the oldest messages go. decimate: every second message goes, so that what is left still spans the
whole time. disconnect: the reader is sent away, to come back and resume.
"""
POLICIES: tuple[Policy, ...] = ("drop_oldest", "decimate", "disconnect")

ENTRY_BYTES = 256
"""What an entry of a queue costs beside the bytes of its message."""
CHUNK_BYTES = 64 << 10
"""How much of what waits is written in one go."""
PUMP_BYTES = 1 << 20
"""How much is written to one reader before the others have their turn."""


class Sink(Protocol):
    """Where a reader's bytes go. Nothing here blocks or raises."""

    def send(self, wire: bytes) -> bool:
        """Take the bytes; whether more may follow. If not, the subscriber's `resume` is called when it may."""

    def end(self, reason: str) -> None:
        """Send the reader away."""

    def soon(self, work: Callable[[], None]) -> None:
        """Do the work after the others had their turn."""


class Replay(Protocol):
    """What a reader gets from the history before it joins the feed."""

    def next(self) -> Delivery | None:
        """The next message; None if there is none yet, see `finished`."""

    @property
    def finished(self) -> bool:
        """Whether it has reached the feed; if not, it calls the subscriber's `pump` when there is more."""

    def brings(self, delivery: Delivery) -> bool:
        """Whether it will still come by what the feed brings now."""

    def close(self) -> None:
        """It is not wanted any more."""


class Subscriber:
    """A sink, the form it wants, and what waits for it."""

    def __init__(self, sink: Sink, form: Form, bound: int, policy: Policy = "drop_oldest") -> None:
        self.send = sink.send
        self.form = form
        self.policy = policy
        self.bound = bound
        """Bytes."""
        self._sink = sink
        self._notes: dict[str, bytes] = {}
        self._queue: deque[tuple[bytes, Span]] = deque()
        self._missed = Missed()
        self._replay: Replay | None = None
        self._taking = True
        self._ended = False
        self._stride = 1
        """Of how many messages one is queued; more than 1 only for those who want it so."""
        self._arrivals = 0
        self.queued_bytes = 0
        self.lost_frames = 0
        self.on_change: Callable[[Subscriber], None] | None = None
        """The feed's: `ready` has changed."""

    @property
    def ready(self) -> bool:
        """Whether the next message may be written at once."""
        waits = self._queue or self._missed or self._notes or self._replay
        return self._taking and not self._ended and not waits

    @property
    def queued(self) -> int:
        """How many messages wait."""
        return len(self._queue)

    @property
    def replaying(self) -> bool:
        """Whether it still reads the history."""
        return self._replay is not None

    @property
    def waits_for(self) -> Span | None:
        """The oldest message that waits."""
        return self._queue[0][1] if self._queue else None

    def stall(self) -> None:
        """The sink takes no more until it calls `resume`."""
        was_ready = self.ready
        self._taking = False
        self._changed(was_ready)

    def resume(self) -> None:
        """The sink takes more."""
        was_ready = self.ready
        self._taking = True
        self.pump()
        self._changed(was_ready)

    def begin(self, replay: Replay) -> None:
        """Read the history first; `pump` starts it."""
        self._replay = replay

    def note(self, about: str, wire: bytes) -> None:
        """Tell something beside the data; of two notes about the same, only the newer one counts."""
        if self.ready:
            self._taking = self.send(wire)
            self._changed(was_ready=True)
            return
        self._notes.pop(about, None)
        self._notes[about] = wire

    def deliver(self, delivery: Delivery) -> None:
        """Write a message of no feed at once, or queue it."""
        if not self.ready:
            self.offer(delivery)
        elif not self.send(delivery.wire(self.form)):
            self.stall()

    def offer(self, delivery: Delivery) -> None:
        """Queue a message for a reader that is not ready; if the queue is full, do what the policy says."""
        if self._ended or (self._replay is not None and self._replay.brings(delivery)):
            return
        self._arrivals += delivery.span.reason is None
        if self._arrivals % self._stride and delivery.span.reason is None:
            self._leave_out(delivery.span)
        else:
            self._put(delivery.wire(self.form), delivery.span)
        if self.queued_bytes > self.bound:
            self._relieve()

    def pump(self) -> None:
        """Write as much as the sink takes: notes, then what was lost, then history, then what waits."""
        was_ready = self.ready
        written = 0
        while self._taking and (chunk := self._chunk()):
            self._taking = self.send(chunk)
            written += len(chunk)
            if written >= PUMP_BYTES and self._taking and not self.ready:
                self._sink.soon(self.pump)
                return
        self._changed(was_ready)

    def forget(self) -> None:
        """Drop what waits of the feed, undeclared: the reader has left it."""
        self._queue.clear()
        self._missed.clear()
        self._stride = 1
        self.queued_bytes = 0
        if self._replay is not None:
            self._replay.close()
            self._replay = None

    def _changed(self, was_ready: bool) -> None:
        if self.ready != was_ready and self.on_change is not None:
            self.on_change(self)

    def _chunk(self) -> bytes:
        """The next bytes to write; none if nothing waits."""
        parts: list[bytes] = []
        size = 0
        while size < CHUNK_BYTES and (part := self._next()) is not None:
            parts.append(part)
            size += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next(self) -> bytes | None:
        if self._notes:
            return self._notes.pop(next(iter(self._notes)))
        if self._missed:
            return self.form(Delivery.of(self._missed.pop()))
        if self._replay is not None:
            replayed = self._replay.next()
            if replayed is not None:
                return self.form(replayed)
            if self._replay.finished:
                self._replay = None
        return self._pop()[0] if self._queue else None

    def _pop(self) -> tuple[bytes, Span]:
        wire, span = self._queue.popleft()
        self.queued_bytes -= len(wire) + ENTRY_BYTES
        self._stride = self._stride if self._queue else 1
        return wire, span

    def _relieve(self) -> None:
        if self.policy == "disconnect":
            self._send_away("slow")
            return
        if self.policy == "decimate":
            self._thin()
        while self.queued_bytes > self.bound:
            self._miss(self._pop()[1])
        if self._missed.full:
            self._send_away("gaps")

    def _send_away(self, reason: str) -> None:
        self._ended = True
        self.forget()
        self._sink.end(reason)

    def _miss(self, span: Span) -> None:
        self._missed.add(span)
        if span.reason is None:
            self.lost_frames += span.count

    def _thin(self) -> None:
        """Put gaps in place of every second message, and leave out as many of those to come."""
        self._stride *= 2
        waiting, self._queue = self._queue, deque()
        self.queued_bytes = 0
        keep = True
        for wire, span in waiting:
            if span.reason is None:
                keep = not keep
            if span.reason == "slow" or (span.reason is None and not keep):
                self._leave_out(span)
            else:
                self._put(wire, span)

    def _leave_out(self, span: Span) -> None:
        """Queue a gap in place of a message, one with the gap before it."""
        self.lost_frames += span.count if span.reason is None else 0
        start = span.index
        if self._queue:
            wire, last = self._queue[-1]
            if (last.epoch, last.end, last.reason) == (span.epoch, start, "slow"):
                self._queue.pop()
                self.queued_bytes -= len(wire) + ENTRY_BYTES
                start = last.index
        gap = Gap(span.epoch, start, span.end - start, "slow")
        self._put(self.form(Delivery.of(gap)), Span(gap.epoch, gap.index, gap.end, "slow"))

    def _put(self, wire: bytes, span: Span) -> None:
        if not wire:
            return
        self._queue.append((wire, span))
        self.queued_bytes += len(wire) + ENTRY_BYTES
