"""The relay without its outlets: what came, and who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.config import HistorySettings, RelayConfig, RelaySettings
from gateway.relay.archive import Archive, Known
from gateway.relay.auth import Auth
from gateway.relay.catalogue import Catalogue, StreamState
from gateway.relay.delivery import Delivery
from gateway.relay.front import Gate
from gateway.relay.guard import Guard
from gateway.relay.history import HistoryLimits
from gateway.relay.hub import Hub
from gateway.relay.ordered import OrderedFeeds
from gateway.relay.scopes import Scopes
from gateway.topics import split_stream_key

if TYPE_CHECKING:
    from gateway.relay.client import Client

TICK_S = 0.25
LOOK_AFTER_S = 5.0

Listener = Callable[[str, dict[str, Any]], None]
"""Gets what is announced: its scope (`device`, `device/stream`, or "" for all) and its content."""


class Core:
    """What all outlets share. Make it in the loop."""

    def __init__(self, config: RelayConfig, directory: Path | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.settings: RelaySettings = config.relay
        self.auth = Auth(config.auth)
        self.guard = Guard(self.auth, config.relay.origins)
        self.gate = Gate(config.relay.connections, config.relay.connections_per_address, config.relay.handshake)
        self.catalogue = Catalogue()
        self.hub = Hub()
        self.archive = Archive(_limits(config.history), directory)
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

    def _restore(self, known: Known) -> None:
        device, name = split_stream_key(known.stream)
        self.catalogue.stream(device, name).intake.restore(known.epoch, known.covered, known.since)


def _limits(settings: HistorySettings) -> HistoryLimits:
    return HistoryLimits(int(settings.memory * 1e9), settings.memory_bytes, settings.disk)
