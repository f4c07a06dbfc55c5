"""The relay without its outlets: what came, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.relay.catalogue import Catalogue, StreamState
from gateway.relay.delivery import Delivery
from gateway.relay.hub import Hub

Listener = Callable[[str, dict[str, Any]], None]
"""Gets what is announced: its scope (`device`, `device/stream`, or "" for all) and its content."""


class Core:
    """What all outlets share."""

    def __init__(self, queue_bytes: int) -> None:
        self.catalogue = Catalogue()
        self.hub = Hub()
        self.queue_bytes = queue_bytes
        self.broker: dict[str, Any] = {"type": "broker", "connected": False}
        self.listeners: list[Listener] = []

    def publish(self, state: StreamState, delivery: Delivery) -> None:
        """Deliver a message that is new to all who read its stream."""
        self.hub.publish(state.key, delivery)

    def announce(self, scope: str, content: dict[str, Any]) -> None:
        """Tell everybody within the scope."""
        if content["type"] == "broker":
            self.broker = content
        for listener in self.listeners:
            listener(scope, content)
