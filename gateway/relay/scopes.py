"""Envelopes for those who watch: one pyramid for each stream that somebody watches, refreshed as often as he asks.

A viewer that does not keep up is refreshed less often and misses nothing: each answer holds all that has changed
since the one before. So there is no queue, and what a viewer costs depends on neither the rate nor the history.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.relay.archive import Archive
from gateway.relay.delivery import Delivery, Span
from gateway.relay.envelope import Cursor, LiveRequest, StreamEnvelope, merged
from gateway.relay.replay import HistoryReplay, LastSeconds, place_of
from gateway.relay.subscriber import Subscriber

IDLE_S = 60.0
"""How long a pyramid that nobody looks at is kept."""
PENDING = 64
"""How many messages may wait to be put into the pyramid while nobody is due."""
WARM_UP = 256
"""How many messages of the history are put into the pyramid before the others have their turn."""
WARM_S = 300.0
"""How much of the history a new pyramid begins with."""


@dataclass(eq=False, slots=True)
class Watcher:
    """One viewer of an envelope."""

    subscriber: Subscriber
    request: LiveRequest
    period_s: float
    due_s: float = 0.0
    seen: Cursor | None = None


class Scope:
    """One stream's pyramid and who looks at it."""

    def __init__(self, archive: Archive, stream: str) -> None:
        self._archive = archive
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._envelope = StreamEnvelope()
        self._pending: list[Delivery] = []
        self._replay: HistoryReplay | None = None
        self._warm = False
        self._timer: asyncio.TimerHandle | None = None
        self.watchers: dict[Watcher, None] = {}
        self.idle_since_s = self._loop.time()
        self._warming = self._loop.create_task(self._begin())

    def watch(self, watcher: Watcher) -> None:
        """Refresh the viewer from now on. Raises EnvelopeError if it asks for what cannot be had."""
        self._envelope.live(watcher.request)
        self.watchers[watcher] = None
        self._loop.call_soon(self._refresh)  # not before it was told that the subscription stands

    def leave(self, watcher: Watcher) -> None:
        """Refresh it no more."""
        self.watchers.pop(watcher, None)
        self.idle_since_s = self._loop.time()

    def close(self) -> None:
        """Nobody wants it any more."""
        self._warming.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._replay is not None:
            self._replay.close()

    def take(self, delivery: Delivery) -> None:
        """Something that is new has come."""
        if self._warm or (self._replay is not None and not self._replay.brings(delivery)):
            self._put(delivery)

    # What a replay needs of its reader

    offer = take

    def pump(self) -> None:
        """Read the history, a part at a time."""
        assert self._replay is not None
        for _ in range(WARM_UP):
            delivery = self._replay.next()
            if delivery is None:
                break
            self._put(delivery)
        if self._replay.finished:
            self._warm = True
            self._refresh()
        elif delivery is not None:
            self._loop.call_soon(self.pump)

    # Within

    async def _begin(self) -> None:
        place = await place_of(self._archive, self._stream, LastSeconds(WARM_S))
        self._replay = HistoryReplay(self._archive, self._stream, place.key, self)
        self.pump()

    def _put(self, delivery: Delivery) -> None:
        """Something that belongs into the pyramid."""
        self._pending.append(delivery)
        if len(self._pending) >= PENDING:
            self._absorb()

    def _absorb(self) -> None:
        pending, self._pending = self._pending, []
        for message in merged(delivery.message for delivery in pending):
            self._envelope.add(message)

    def _refresh(self) -> None:
        """Give those who are due what has changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.watchers or not self._warm:
            return
        self._absorb()
        now, shared = self._loop.time(), dict[int, Delivery]()
        for watcher in list(self.watchers):
            if watcher.due_s <= now and watcher.subscriber.ready and self._show(watcher, shared):
                watcher.due_s = max(watcher.due_s + watcher.period_s, now)
        due_s = min(watcher.due_s for watcher in self.watchers)
        shortest = min(watcher.period_s for watcher in self.watchers)
        self._timer = self._loop.call_at(max(due_s, now + shortest / 4), self._refresh)

    def _show(self, watcher: Watcher, shared: dict[int, Delivery]) -> bool:
        """Whether there was anything new. Equal answers are one object, and so are their bytes on the wire."""
        cursor = self._envelope.cursor
        if cursor == watcher.seen:
            return False
        answer = self._envelope.live(watcher.request, watcher.seen)
        if answer is None:
            return False
        delivery = shared.setdefault(id(answer), Delivery(Span(0, 0, 0), answer))
        watcher.seen = cursor
        watcher.subscriber.deliver(delivery)
        return True


class Scopes:
    """All streams that somebody looks at."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._scopes: dict[str, Scope] = {}

    def watch(self, stream: str, watcher: Watcher) -> None:
        """Refresh the viewer from now on. Raises EnvelopeError if it asks for what cannot be had."""
        if stream not in self._scopes:
            self._scopes[stream] = Scope(self._archive, stream)
        self._scopes[stream].watch(watcher)

    def leave(self, stream: str, watcher: Watcher) -> None:
        """Refresh it no more."""
        if stream in self._scopes:
            self._scopes[stream].leave(watcher)

    def take(self, stream: str, delivery: Delivery) -> None:
        """Something that is new has come."""
        scope = self._scopes.get(stream)
        if scope is not None:
            scope.take(delivery)

    def tick(self, now_s: float) -> None:
        """Forget what nobody has looked at for a while."""
        for stream, scope in list(self._scopes.items()):
            if not scope.watchers and now_s - scope.idle_since_s > IDLE_S:
                scope.close()
                del self._scopes[stream]

    def close(self) -> None:
        """Nobody looks any more."""
        for scope in self._scopes.values():
            scope.close()
        self._scopes.clear()
