"""`/api/v1/live`: a stream over a WebSocket, JSON for control and the batches exactly as they are on MQTT.

One connection carries one stream at a time; every binary message after `subscribed` belongs to that stream.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from gateway import __version__
from gateway.codec import CODECS
from gateway.errors import TopicError
from gateway.relay.catalogue import Catalogue
from gateway.relay.hub import Framing, Hub, Subscriber
from gateway.relay.websocket import binary_frame, text_frame
from gateway.topics import split_stream_key

PROTOCOL_VERSION = 1
CONTROL_LIMIT = 16 << 10
"""The longest control message taken, in bytes."""
HEARTBEAT_S = 90.0
"""A viewer that answers no ping for half of this is gone; one that only stalls for a minute is not."""
CLOSE_S = 0.5
"""How long a viewer may take to answer a close."""
PATIENCE_BYTES = 64 << 10
"""How much may wait in the transport before a subscriber's queue fills instead."""
PUMP_PERIOD_S = 0.02
"""How often those who fell behind are looked after."""


class Viewer:
    """One WebSocket: a sink for the hub, and the stream it is subscribed to."""

    def __init__(self, transport: asyncio.WriteTransport, queue_bound: int) -> None:
        self._transport = transport
        self.framing: Framing = binary_frame
        self.subscriber = Subscriber(self, queue_bound, CODECS["cbor"].encode)
        self.stream: str | None = None

    def writable(self) -> bool:
        """Whether the transport holds little."""
        return self._transport.get_write_buffer_size() < PATIENCE_BYTES

    def write(self, wire: bytes) -> None:
        """Hand the bytes to the transport; one that is closing takes nothing."""
        if not self._transport.is_closing():
            self._transport.write(wire)


class LiveOutlet:
    """All WebSocket viewers."""

    def __init__(self, catalogue: Catalogue, queue_bound: int) -> None:
        self._someone_behind = asyncio.Event()
        self.hub = Hub(self._someone_behind.set)
        self._catalogue = catalogue
        self._queue_bound = queue_bound
        self._viewers: dict[Viewer, web.WebSocketResponse] = {}
        self.broker: dict[str, Any] = {"type": "broker", "connected": False}

    def announce(self, scope: str, content: dict[str, Any]) -> None:
        """Tell every viewer within the scope: a device, a stream, or "" for all."""
        if content["type"] == "broker":
            self.broker = content
        for viewer in self._viewers:
            stream = viewer.stream or ""
            if scope in ("", stream, stream.partition("/")[0]):
                self._tell(viewer, content["type"], content)

    async def pump(self) -> None:
        """Look after the viewers who fell behind, for as long as the relay runs."""
        while True:
            await self._someone_behind.wait()
            if not self.hub.pump():
                self._someone_behind.clear()
            await asyncio.sleep(PUMP_PERIOD_S)

    async def close(self) -> None:
        """Tell every viewer to come back later."""
        farewells = [
            asyncio.create_task(websocket.close(code=WSCloseCode.SERVICE_RESTART, message=b"the relay restarts"))
            for websocket in self._viewers.values()
        ]
        if farewells:
            await asyncio.wait(farewells, timeout=CLOSE_S)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """One viewer, from its handshake to its end."""
        websocket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=CONTROL_LIMIT, compress=False, timeout=CLOSE_S
        )
        await websocket.prepare(request)
        transport = request.transport
        assert isinstance(transport, asyncio.WriteTransport)
        viewer = Viewer(transport, self._queue_bound)
        self._viewers[viewer] = websocket
        self._tell(
            viewer, "hello", {"type": "hello", "version": PROTOCOL_VERSION, "server": f"headwater {__version__}"}
        )
        self._tell(viewer, "broker", self.broker)
        try:
            wanted = request.query.get("stream")
            if wanted is not None:
                self._subscribe(viewer, wanted)
            async for message in websocket:
                if message.type is WSMsgType.TEXT:
                    self._obey(viewer, message.data)
                elif message.type is WSMsgType.BINARY:
                    self._refuse(viewer, "control messages are JSON text")
        finally:
            del self._viewers[viewer]
            self.hub.forget(viewer.subscriber)
        return websocket

    def _obey(self, viewer: Viewer, text: str) -> None:
        try:
            command = json.loads(text)
        except (ValueError, RecursionError):
            self._refuse(viewer, "not JSON")
            return
        match command:
            case {"type": "subscribe", "stream": str(stream)}:
                self._subscribe(viewer, stream)
            case {"type": "unsubscribe"}:
                self._leave(viewer)
                self._tell(viewer, "unsubscribed", {"type": "unsubscribed"})
            case {"type": "ping"}:
                self._tell(viewer, "pong", {"type": "pong"})
            case _:
                self._refuse(viewer, "allowed: subscribe with a stream, unsubscribe, ping")

    def _subscribe(self, viewer: Viewer, stream: str) -> None:
        try:
            device, name = split_stream_key(stream)
        except TopicError as error:
            self._refuse(viewer, str(error))
            return
        self._leave(viewer)
        viewer.stream = stream
        known = self._catalogue.streams.get(f"{device}/{name}")
        self._tell(
            viewer,
            "subscribed",
            {
                "type": "subscribed",
                "stream": stream,
                "meta": known.meta if known else None,
                "status": self._catalogue.status(device),
            },
        )
        self.hub.subscribe(stream, viewer.subscriber)

    def _tell(self, viewer: Viewer, about: str, content: dict[str, Any]) -> None:
        self.hub.tell(viewer.subscriber, about, text_frame(content))

    def _leave(self, viewer: Viewer) -> None:
        if viewer.stream is not None:
            self.hub.unsubscribe(viewer.stream, viewer.subscriber)
            viewer.stream = None

    def _refuse(self, viewer: Viewer, why: str) -> None:
        self._tell(viewer, "error", {"type": "error", "code": "bad_request", "message": why})
