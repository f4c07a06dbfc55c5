"""The relay without its outlets: what came, and who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.config import RelayConfig, RelaySettings
from gateway.relay.auth import Auth
from gateway.relay.catalogue import Catalogue, StreamState
from gateway.relay.delivery import Delivery
from gateway.relay.front import Gate
from gateway.relay.guard import Guard
from gateway.relay.hub import Hub

if TYPE_CHECKING:
    from gateway.relay.client import Client

LOOK_AFTER_S = 5.0

Listener = Callable[[str, dict[str, Any]], None]
"""Gets what is announced: its scope (`device`, `device/stream`, or "" for all) and its content."""


class Core:
    """What all outlets share."""

    def __init__(self, config: RelayConfig) -> None:
        self.settings: RelaySettings = config.relay
        self.auth = Auth(config.auth)
        self.guard = Guard(self.auth, config.relay.origins)
        self.gate = Gate(config.relay.connections, config.relay.connections_per_address, config.relay.handshake)
        self.catalogue = Catalogue()
        self.hub = Hub()
        self.clients: dict[Client, None] = {}
        self.broker: dict[str, Any] = {"type": "broker", "connected": False}
        self.listeners: list[Listener] = []
        self.undecodable: Callable[[], int] = lambda: 0

    def publish(self, state: StreamState, delivery: Delivery) -> None:
        """Deliver a message that is new to all who read its stream."""
        self.hub.publish(state.key, delivery)

    def announce(self, scope: str, content: dict[str, Any]) -> None:
        """Tell everybody within the scope."""
        if content["type"] == "broker":
            self.broker = content
        for listener in self.listeners:
            listener(scope, content)

    async def run(self) -> None:
        """Look after the clients, for as long as the relay runs."""
        while True:
            await asyncio.sleep(LOOK_AFTER_S)
            now = asyncio.get_running_loop().time()
            for client in list(self.clients):
                client.look_after(now)
