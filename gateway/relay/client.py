"""A connection that gets a stream: what WebSockets, HTTP streams and plain TCP have in common."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Hashable

from gateway.relay.answers import Reads, SubscriberEntry
from gateway.relay.auth import Grant
from gateway.relay.core import Core
from gateway.relay.delivery import Form
from gateway.relay.envelope import LiveRequest
from gateway.relay.history import Key
from gateway.relay.pipe import Pipe
from gateway.relay.scopes import Watcher
from gateway.relay.wish import EnvelopeWish, Wish

_numbers = itertools.count(1)


class Client(Pipe):
    """One connection, what it may read and what it reads."""

    outlet = "?"

    def __init__(self, transport: asyncio.Transport, core: Core, form: Form, grant: Grant | None) -> None:
        super().__init__(transport, form, core.settings.queue, core.settings.policy)
        self.number = next(_numbers)
        self.grant = grant
        self.stream: str | None = None
        self._feed: Hashable | None = None
        self._watcher: Watcher | None = None
        self._core = core
        self._since = self._loop.time()
        peer = transport.get_extra_info("peername")
        self._address = f"{peer[0]}:{peer[1]}" if peer else "local"
        self._who = {"client": self.number, "outlet": self.outlet, "address": self._address}
        self.reason: str | None = None
        """Why it is sent away."""
        core.clients[self] = None
        core.journal.connected(self._who)

    def join(self, wish: Wish, place: Key | None = None) -> None:
        """Change to a stream; read its history from a place on first."""
        self.leave()
        self.stream = wish.stream
        self.subscriber.policy = wish.policy or self._core.settings.policy
        self._feed = self._core.join(self.subscriber, wish, place)

    def watch(self, stream: str, wish: EnvelopeWish) -> None:
        """Change to a stream's envelope; raises EnvelopeError if it asks for what cannot be had."""
        self.leave()
        watcher = Watcher(self.subscriber, LiveRequest(wish.seconds, wish.width, wish.channels), 1 / wish.rate)
        self._core.scopes.watch(stream, watcher)
        self.stream, self._watcher = stream, watcher

    def leave(self) -> None:
        """Leave the stream."""
        if self._feed is not None:
            self._core.hub.unsubscribe(self._feed, self.subscriber)
        if self._watcher is not None and self.stream is not None:
            self._core.scopes.leave(self.stream, self._watcher)
        self.stream = self._feed = self._watcher = None

    def end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.say_goodbye(reason)

    def say_goodbye(self, reason: str) -> None:
        """Send the client away in the outlet's own way."""
        self.close()

    def look_after(self, now: float) -> None:
        """Called every few seconds: a client whose token has expired is sent away."""
        if self.grant is not None and self.grant.expired:
            self.end("expired")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._core.journal.disconnected(
            {**self._who, "stream": self.stream},
            reason=self.reason or ("left" if exc is None else "lost"),
            seconds=self._loop.time() - self._since,
            lost_frames=self.subscriber.lost_frames,
        )
        self.leave()
        self._core.clients.pop(self, None)

    def _reads(self) -> Reads:
        if self._watcher is not None:
            return "envelope"
        return "history" if self.subscriber.replaying else "complete" if isinstance(self._feed, tuple) else "live"

    def as_dict(self) -> SubscriberEntry:
        """For the list of subscribers."""
        subscriber = self.subscriber
        waits_for = subscriber.waits_for
        state = self._core.catalogue.streams.get(self.stream or "")
        lag = 0
        if waits_for is not None and state is not None and waits_for.epoch == state.intake.epoch:
            lag = state.intake.end - waits_for.index
        return {
            "id": self.number,
            "outlet": self.outlet,
            "address": self._address,
            "stream": self.stream,
            "seconds": round(self._loop.time() - self._since, 1),
            "policy": subscriber.policy,
            "reads": self._reads(),
            "queued_bytes": subscriber.queued_bytes,
            "queued_messages": subscriber.queued,
            "lag_frames": lag,
            "lost_frames": subscriber.lost_frames,
        }
