"""The relay without its outlets: what came, and who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gateway.config import HistorySettings, RelayConfig, RelaySettings
from gateway.relay.archive import Archive, Known
from gateway.relay.auth import Auth
from gateway.relay.catalogue import Catalogue, StreamState
from gateway.relay.delivery import Delivery
from gateway.relay.door import Gate
from gateway.relay.guard import Guard
from gateway.relay.history import HistoryLimits, Key
from gateway.relay.hub import Hub
from gateway.relay.journal import Journal
from gateway.relay.ordered import OrderedFeeds, feed_in_order
from gateway.relay.replay import HistoryReplay
from gateway.relay.scopes import Scopes
from gateway.relay.subscriber import Subscriber
from gateway.relay.tls import server_context
from gateway.relay.wish import Wish
from gateway.topics import split_stream_key

if TYPE_CHECKING:
    from gateway.relay.client import Client

TICK_S = 0.25
LOOK_AFTER_S = 5.0

Listener = Callable[[str, dict[str, Any]], None]
"""Gets what is announced: its scope (`device`, `device/stream`, or "" for all) and its content."""


class Core:
    """What all outlets share. Make it in the loop."""

    def __init__(self, config: RelayConfig, directory: Path | None = None, worker: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self.settings: RelaySettings = config.relay
        self.worker = worker
        """Which of `relay.workers` processes this is, from 0."""
        self.tls = server_context(config.relay)
        self.auth = Auth(config.auth)
        self.journal = Journal()
        self.guard = Guard(self.auth, config.relay.origins, self.journal)
        self.gate = Gate(config.relay.connections, config.relay.connections_per_address, config.relay.handshake)
        self.catalogue = Catalogue()
        self.hub = Hub()
        self.archive = Archive(_limits(config.history, config.relay.workers), directory)
        self.ordered = OrderedFeeds(self.hub, self.catalogue, config.relay.hold, config.relay.queue)
        self.scopes = Scopes(self.archive)
        self.clients: dict[Client, None] = {}
        self.broker: dict[str, Any] = {"type": "broker", "connected": False}
        self.listeners: list[Listener] = []
        self.undecodable: Callable[[], int] = lambda: 0

    def publish(self, state: StreamState, delivery: Delivery) -> None:
        """Keep a message that is new, and deliver it to all who read its stream."""
        self.archive.take(state.key, delivery)
        self.hub.publish(state.key, delivery)
        self.ordered.take(state.key, delivery, self._loop.time())
        self.scopes.take(state.key, delivery)

    def join(self, subscriber: Subscriber, wish: Wish, place: Key | None = None) -> Hashable:
        """Deliver a stream to the subscriber, its history from a place on first; the hub's key of the feed."""
        stream, feed, ordered_to = wish.stream, cast(Hashable, wish.stream), None
        state = self.catalogue.streams.get(stream)
        if wish.mode == "complete":
            feed, ordered_to = feed_in_order(stream), partial(self.ordered.position, stream)
            newest = ordered_to() if state is None else max(ordered_to(), state.intake.newest)
            place = None if place is None else min(place, newest)
        if place is not None:
            accounts = state.intake.accounts if state is not None else None
            subscriber.begin(HistoryReplay(self.archive, stream, place, subscriber, accounts, ordered_to))
        self.hub.subscribe(feed, subscriber)
        subscriber.pump()
        return feed

    async def open(self) -> None:
        """Take over what an earlier relay kept."""
        for known in await self.archive.open():
            self._restore(known)

    async def close(self) -> None:
        """Write what waits."""
        self.scopes.close()
        await self.archive.close()

    def announce(self, scope: str, content: dict[str, Any]) -> None:
        """Tell everybody within the scope."""
        if content["type"] == "broker":
            self.broker = content
        elif content["type"] == "meta":
            self.archive.keep_metas(scope, self.catalogue.streams[scope].metas)
        for listener in self.listeners:
            listener(scope, content)

    async def run(self) -> None:
        """Look after the clients, for as long as the relay runs."""
        looked = self._loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            now = self._loop.time()
            self.ordered.tick(now)
            self.scopes.tick(now)
            if now - looked >= LOOK_AFTER_S:
                looked = now
                for client in list(self.clients):
                    client.look_after(now)
                self.journal.turned_away(self.gate.refused)

    def _restore(self, known: Known) -> None:
        state = self.catalogue.stream(*split_stream_key(known.stream))
        for meta in known.metas.values():
            state.take_meta(meta)
        for epoch, (covered, since) in known.epochs.items():
            state.intake.restore(epoch, covered, since)


def _limits(settings: HistorySettings, workers: int) -> HistoryLimits:
    """Of one worker: the disk is theirs together."""
    return HistoryLimits(int(settings.memory * 1e9), settings.memory_bytes, settings.disk // workers)
