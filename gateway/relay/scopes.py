"""Envelopes for those who watch: one pyramid for each stream that somebody watches, refreshed as often as he asks.

A viewer that does not keep up is refreshed less often and misses nothing: each answer holds all that has changed
since the one before. So there is no queue, and what a viewer costs depends on neither the rate nor the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
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
    seen: Cursor | None = None


class Round:
    """Those who are refreshed equally often, and so at the same moments: what they see is computed once.

    `refresh` is given them, and tells whether there is more for any of them.
    """

    def __init__(self, period_s: float, refresh: Callable[[Iterable[Watcher]], bool]) -> None:
        self.watchers: dict[Watcher, None] = {}
        self._period_s = period_s
        self._refresh = refresh
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """There is something new."""
        if self._timer is None:
            at_s = (self._loop.time() // self._period_s + 1) * self._period_s
            self._timer = self._loop.call_at(at_s, self._go_round)

    def close(self) -> None:
        """Nobody is to be refreshed any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _go_round(self) -> None:
        self._timer = None
        if self._refresh(list(self.watchers)):
            self.wake()


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
        self._rounds: dict[float, Round] = {}
        self.idle_since_s = self._loop.time()
        self._warming = self._loop.create_task(self._begin())

    def watch(self, watcher: Watcher) -> None:
        """Refresh the viewer from now on. Raises EnvelopeError if it asks for what cannot be had."""
        self._envelope.check(watcher.request)
        round_ = self._rounds.setdefault(watcher.period_s, Round(watcher.period_s, self._refresh))
        round_.watchers[watcher] = None
        # not before it was told that the subscription stands
        self._loop.call_soon(self._refresh_at_once, round_)

    def leave(self, watcher: Watcher) -> None:
        """Refresh it no more."""
        round_ = self._rounds.get(watcher.period_s)
        if round_ is None:
            return
        round_.watchers.pop(watcher, None)
        if not round_.watchers:
            round_.close()
            del self._rounds[watcher.period_s]
        self.idle_since_s = self._loop.time()

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return bool(self._rounds)

    def close(self) -> None:
        """Nobody wants it any more."""
        self._warming.cancel()
        for round_ in self._rounds.values():
            round_.close()
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
            for round_ in self._rounds.values():
                self._refresh_at_once(round_)
        elif delivery is not None:
            self._loop.call_soon(self.pump)

    # Within

    async def _begin(self) -> None:
        place = await place_of(self._archive, self._stream, LastSeconds(WARM_S))
        self._replay = HistoryReplay(self._archive, self._stream, place.key, self)
        self.pump()

    def _put(self, delivery: Delivery) -> None:
        """Something that belongs into the pyramid."""
        if not self._pending:
            self._wake()
        self._pending.append(delivery)
        if len(self._pending) >= PENDING:
            self._absorb()

    def _absorb(self) -> None:
        pending, self._pending = self._pending, []
        for message in merged(delivery.message for delivery in pending):
            self._envelope.add(message)

    def _wake(self) -> None:
        for round_ in self._rounds.values():
            round_.wake()

    def _refresh_at_once(self, round_: Round) -> None:
        """Before its time, for those who have seen nothing yet."""
        if self._refresh([watcher for watcher in round_.watchers if watcher.seen is None]):
            round_.wake()

    def _refresh(self, watchers: Iterable[Watcher]) -> bool:
        """Give them what has changed; whether somebody could not take it."""
        if not self._warm:
            return False
        self._absorb()
        cursor, shared = self._envelope.cursor, dict[int, Delivery]()
        left = False
        for watcher in watchers:
            if watcher.seen == cursor:
                continue
            if watcher.subscriber.ready:
                self._show(watcher, shared)
                watcher.seen = cursor
            else:
                left = True
        return left

    def _show(self, watcher: Watcher, shared: dict[int, Delivery]) -> None:
        """What is new. Equal answers are one object, and so are their bytes on the wire."""
        answer = self._envelope.live(watcher.request, watcher.seen)
        if answer is not None:
            watcher.subscriber.deliver(shared.setdefault(id(answer), Delivery(Span(0, 0, 0), answer)))


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
            if not scope.watched and now_s - scope.idle_since_s > IDLE_S:
                scope.close()
                del self._scopes[stream]

    def close(self) -> None:
        """Nobody looks any more."""
        for scope in self._scopes.values():
            scope.close()
        self._scopes.clear()
