"""`/api/v1/events`: what happens beside the samples, as Server-Sent Events (WHATWG HTML, section 9.2).

Event types: `broker`, `status`, `meta`, `health`, `event`, `undecodable`; and `missed`, with how many were lost to
a reader that was too slow.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from gateway.relay.auth import EVERYTHING, Grant
from gateway.relay.client import Client
from gateway.relay.core import Core
from gateway.relay.delivery import Delivery, Span
from gateway.relay.front import front_door
from gateway.relay.guard import GRANT, asked_of
from gateway.relay.outlets.stream import LAST_CHUNK, chunk, response_head
from gateway.relay.wish import EventsWish

PING_S = 15.0
"""How often something is sent, so that proxies keep the connection."""


def as_event(delivery: Delivery) -> bytes:
    """The event in a chunk."""
    span = delivery.span
    if span.reason is not None:
        return chunk(_event("missed", {"count": span.count}, span.end - 1))
    return chunk(delivery.payload)


class Listener(Client):
    """One reader of events; each one's are numbered for themselves."""

    outlet = "events"

    def __init__(self, transport: asyncio.Transport, core: Core, grant: Grant, device: str | None) -> None:
        super().__init__(transport, core, as_event, grant)
        self._device = device
        self._count = 0
        self._pinged = self._loop.time()

    def hears(self, scope: str) -> bool:
        """Whether news of a device or stream, or "" for all, are for this reader."""
        device = scope.partition("/")[0]
        assert self.grant is not None
        if not device:
            return True
        if self._device not in (None, device):
            return False
        return self.grant.allows(scope) if "/" in scope else self.grant.allows_device(device)

    def tell(self, content: dict[str, Any]) -> None:
        """Send an event, or queue it."""
        span = Span(0, self._count, self._count + 1)
        self._count += 1
        self.subscriber.deliver(Delivery(span, _event(content["type"], content, span.index)))

    def look_after(self, now: float) -> None:
        super().look_after(now)
        if now - self._pinged > PING_S:
            self._pinged = now
            self.subscriber.note("ping", chunk(b":\n\n"))

    def say_goodbye(self, reason: str) -> None:
        self.close(LAST_CHUNK if reason == "restart" else b"")


class EventsOutlet:
    """All readers of events."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.listeners.append(self._announce)

    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [web.get("/api/v1/events", self._handle, allow_head=False)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        device = asked_of(request, EventsWish).device
        door, transport = front_door(request)
        listener = Listener(transport, self._core, request.get(GRANT, EVERYTHING), device)
        door.take_over(request.protocol, listener)
        headers = {
            **self._core.guard.headers_for(request),
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "Transfer-Encoding": "chunked",
        }
        listener.send(response_head(headers))
        listener.tell(self._core.broker)
        for device, status in self._core.catalogue.statuses.items():
            if listener.hears(device):
                listener.tell({"type": "status", "device": device, "status": status})
        return web.Response()

    def _announce(self, scope: str, content: dict[str, Any]) -> None:
        for client in self._core.clients:
            if isinstance(client, Listener) and client.hears(scope):
                client.tell(content)


def _event(kind: str, content: dict[str, Any], number: int) -> bytes:
    text = json.dumps(content, separators=(",", ":"))
    return f"event: {kind}\nid: {number}\ndata: {text}\n\n".encode()
