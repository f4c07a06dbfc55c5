"""`/api/v1/live`: a stream over a WebSocket, JSON for control and the batches exactly as they are on MQTT.

One connection carries one stream at a time; every binary message after `subscribed` belongs to that stream.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

from aiohttp import web

from gateway import __version__
from gateway.errors import TopicError
from gateway.relay.core import Core
from gateway.relay.delivery import Delivery
from gateway.relay.front import front_door
from gateway.relay.pipe import Pipe
from gateway.relay.websocket import (
    Close,
    FrameReader,
    HandshakeError,
    Incoming,
    Opcode,
    WebSocketError,
    accept_key,
    close_frame,
    frame,
    text_frame,
)
from gateway.topics import split_stream_key

PROTOCOL_VERSION = 1
CONTROL_BYTES = 16 << 10
"""The longest control message taken."""
PING_S = 30.0
"""A client that says nothing for so long is asked whether it is there."""
SILENCE_S = 120.0
"""A client that says nothing for so long, not even a pong, is gone; one that only stalls for a minute is not."""

TOLD = ("broker", "status", "meta", "undecodable")
"""What is announced that viewers are told; events and health have an outlet of their own."""

ENDINGS = {
    "slow": (Close.SLOW, "the queue is full; resume where you were"),
    "gaps": (Close.SLOW, "too many separate gaps to list; resume where you were"),
}


def binary(delivery: Delivery) -> bytes:
    """The payload in a WebSocket frame."""
    return frame(Opcode.BINARY, delivery.payload)


class Viewer(Pipe):
    """One WebSocket: what it asks, and the stream it is subscribed to."""

    def __init__(self, transport: asyncio.Transport, core: Core) -> None:
        super().__init__(transport, binary, core.queue_bytes)
        self._core = core
        self._reader = FrameReader(CONTROL_BYTES)
        self.heard = self._loop.time()
        self.stream: str | None = None

    def greet(self) -> None:
        """The first messages."""
        self.tell("hello", {"type": "hello", "version": PROTOCOL_VERSION, "server": f"headwater {__version__}"})
        self.tell("broker", self._core.broker)

    def tell(self, about: str, content: dict[str, Any]) -> None:
        """Send a control message; of two about the same that wait, only the newer one counts."""
        self.subscriber.note(about, text_frame(content))

    def subscribe(self, stream: str) -> None:
        """Change to a stream."""
        try:
            device, name = split_stream_key(stream)
        except TopicError as error:
            self.refuse(str(error))
            return
        self.leave()
        self.stream = stream
        known = self._core.catalogue.streams.get(f"{device}/{name}")
        self.tell(
            "subscribed",
            {
                "type": "subscribed",
                "stream": stream,
                "meta": known.meta if known else None,
                "status": self._core.catalogue.status(device),
            },
        )
        self._core.hub.subscribe(stream, self.subscriber)

    def leave(self) -> None:
        """Leave the stream."""
        if self.stream is not None:
            self._core.hub.unsubscribe(self.stream, self.subscriber)
            self.stream = None

    def refuse(self, why: str) -> None:
        """Answer a command that is none."""
        self.tell("error", {"type": "error", "code": "bad_request", "message": why})

    def end(self, reason: str) -> None:
        self.close(close_frame(*ENDINGS[reason]))

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        try:
            for message in self._reader.feed(data):
                self._take(message)
        except WebSocketError as error:
            self.close(close_frame(error.code, str(error)))

    def _take(self, message: Incoming) -> None:
        match message.opcode:
            case Opcode.TEXT:
                self._obey(message.payload)
            case Opcode.BINARY:
                self.refuse("control messages are JSON text")
            case Opcode.PING:
                self.subscriber.note("pong frame", frame(Opcode.PONG, message.payload))
            case Opcode.CLOSE:
                self.close(frame(Opcode.CLOSE, _closing_code(message.payload)))

    def _obey(self, payload: bytes) -> None:
        try:
            command = json.loads(payload.decode())
        except UnicodeDecodeError:
            raise WebSocketError(Close.BAD_TEXT, "text must be UTF-8") from None
        except (ValueError, RecursionError):
            self.refuse("not JSON")
            return
        match command:
            case {"type": "subscribe", "stream": str(stream)}:
                self.subscribe(stream)
            case {"type": "unsubscribe"}:
                self.leave()
                self.tell("unsubscribed", {"type": "unsubscribed"})
            case {"type": "ping"}:
                self.tell("pong", {"type": "pong"})
            case _:
                self.refuse("allowed: subscribe with a stream, unsubscribe, ping")


class LiveOutlet:
    """All WebSocket viewers."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._viewers: dict[Viewer, None] = {}
        core.listeners.append(self._announce)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/live", self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            key = accept_key(request.headers)
        except HandshakeError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        door, transport = front_door(request)
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n"
        )
        viewer = Viewer(transport, self._core)
        self._viewers[viewer] = None
        viewer.on_lost = lambda: self._lost(viewer)
        viewer.greet()
        stream = request.query.get("stream")
        if stream is not None:
            viewer.subscribe(stream)
        door.take_over(request.protocol, viewer)
        return web.Response()

    def _lost(self, viewer: Viewer) -> None:
        viewer.leave()
        del self._viewers[viewer]

    def _announce(self, scope: str, content: dict[str, Any]) -> None:
        if content["type"] not in TOLD:
            return
        for viewer in self._viewers:
            stream = viewer.stream or ""
            if scope in ("", stream, stream.partition("/")[0]):
                viewer.tell(content["type"], content)

    async def run(self) -> None:
        """Look after those who are silent, for as long as the relay runs."""
        while True:
            await asyncio.sleep(PING_S / 2)
            now = asyncio.get_running_loop().time()
            for viewer in list(self._viewers):
                if now - viewer.heard > SILENCE_S:
                    viewer.close(close_frame(Close.TIMEOUT, "nothing heard for two minutes"))
                elif now - viewer.heard > PING_S:
                    viewer.subscriber.note("ping frame", frame(Opcode.PING, b""))

    async def close(self) -> None:
        """Tell every viewer to come back later."""
        for viewer in list(self._viewers):
            viewer.close(close_frame(Close.SERVICE_RESTART, "the relay restarts"))


def _closing_code(payload: bytes) -> bytes:
    """The code that a close is answered with: the client's own, section 5.5.1."""
    if len(payload) < 2:
        return b""
    code: int = struct.unpack("!H", payload[:2])[0]
    return payload[:2] if 1000 <= code <= 4999 else struct.pack("!H", Close.PROTOCOL_ERROR)
