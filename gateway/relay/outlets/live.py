"""`/api/v1/live`: a stream over a WebSocket, JSON for control and the batches exactly as they are on MQTT.

One connection carries one stream at a time; every binary message after `subscribed` belongs to that stream.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from boards.errors import BadOption
from gateway import __version__
from gateway.relay.auth import AuthError, Grant
from gateway.relay.budget import Budget
from gateway.relay.client import Client
from gateway.relay.core import Core
from gateway.relay.delivery import Delivery
from gateway.relay.envelope import EnvelopeError
from gateway.relay.front import front_door
from gateway.relay.guard import GRANT
from gateway.relay.replay import Place, Start, place_at_hand, place_of
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
from gateway.relay.wish import Wish, wish_of
from gateway.relay.words import each_once

PROTOCOL_VERSION = 1
CONTROL_BYTES = 16 << 10
"""The longest control message taken."""
COMMANDS_AT_ONCE, COMMANDS_PER_S = 500, 100.0
"""How many messages of a client are taken; what is more waits at the client, and the others do not notice."""
PING_S = 30.0
"""A client that says nothing for so long is asked whether it is there."""
SILENCE_S = 120.0
"""A client that says nothing for so long, not even a pong, is gone; one that only stalls for a minute is not."""

TOLD = ("broker", "status", "meta", "undecodable")
"""What is announced that viewers are told; events and health have an outlet of their own."""

ENDINGS = {
    "slow": (Close.SLOW, "the queue is full; resume where you were"),
    "gaps": (Close.SLOW, "too many separate gaps to list; resume where you were"),
    "expired": (Close.UNAUTHORIZED, "the token has expired"),
    "unauthorized": (Close.UNAUTHORIZED, "no token came in time"),
    "silent": (Close.TIMEOUT, "nothing heard for two minutes"),
    "restart": (Close.SERVICE_RESTART, "the relay restarts"),
}


def binary(delivery: Delivery) -> bytes:
    """The payload in a WebSocket frame."""
    return frame(Opcode.BINARY, delivery.payload)


class Viewer(Client):
    """One WebSocket: what it asks, and the stream it is subscribed to."""

    outlet = "websocket"

    def __init__(self, transport: asyncio.Transport, core: Core, grant: Grant | None) -> None:
        super().__init__(transport, core, binary, grant)
        self._reader = FrameReader(CONTROL_BYTES)
        self._incoming: Iterator[Incoming] = iter(())
        self._budget = Budget(COMMANDS_AT_ONCE, COMMANDS_PER_S, self._loop.time())
        self._heard = self._loop.time()
        self._finding: asyncio.Task[None] | None = None
        if grant is None:
            self._loop.call_later(core.settings.handshake, self._check_authorized)

    def greet(self) -> None:
        """The first messages."""
        hello = {"type": "hello", "version": PROTOCOL_VERSION, "server": f"headwater {__version__}"}
        if self.grant is None:
            hello["auth"] = "required"
        self.tell("hello", hello)
        self.tell("broker", self._core.broker)

    def tell(self, about: str, content: dict[str, Any]) -> None:
        """Send a control message; of two about the same that wait, only the newer one counts."""
        self.subscriber.note(about, text_frame(content))

    def subscribe_as_in(self, query: Mapping[str, str]) -> None:
        """Change to the stream that the address names."""
        try:
            self.subscribe(each_once(query.items(), "subscribe"))
        except BadOption as error:
            self.refuse("bad_request", str(error))

    def subscribe(self, content: Mapping[str, Any]) -> None:
        """Change to a stream."""
        try:
            wish = wish_of(content)
        except BadOption as error:
            self.refuse("bad_request", str(error))
            return
        if self.grant is None or not self.grant.allows(wish.stream):
            self.refuse("unauthorized", f"no token that allows {wish.stream}")
            return
        self.leave()
        if wish.start is None:
            self._begin(wish, None)
            return
        place = place_at_hand(self._core.archive, wish.stream, wish.start)
        if place is not None:
            self._begin(wish, place)
        else:
            self._finding = self._loop.create_task(self._find(wish, wish.start))

    def leave(self) -> None:
        super().leave()
        if self._finding is not None:
            self._finding.cancel()
            self._finding = None

    async def _find(self, wish: Wish, start: Start) -> None:
        """Begin in a part of the history that is not at hand."""
        place = await place_of(self._core.archive, wish.stream, start)
        self._finding = None
        self._begin(wish, place)

    def _begin(self, wish: Wish, place: Place | None) -> None:
        if self.closed:
            return
        if wish.envelope is not None:
            try:
                self.watch(wish.stream, wish.envelope)
            except EnvelopeError as error:
                self.refuse("bad_request", str(error))
                return
        self._tell_subscribed(wish, place)
        if wish.envelope is None:
            self.join(wish, place.key if place is not None else None)

    def _tell_subscribed(self, wish: Wish, place: Place | None) -> None:
        known = self._core.catalogue.streams.get(wish.stream)
        answer: dict[str, Any] = {
            "type": "subscribed",
            "stream": wish.stream,
            "meta": known.meta if known else None,
            "status": self._core.catalogue.status(wish.stream.partition("/")[0]),
        }
        if place is not None:
            epoch, index = place.key
            answer |= {"recovered": place.recovered, "epoch": epoch, "index": index}
        self.tell("subscribed", answer)

    def refuse(self, code: str, why: str) -> None:
        """Answer a command that is none, or not allowed."""
        self.tell("error", {"type": "error", "code": code, "message": why})

    def say_goodbye(self, reason: str) -> None:
        self.close(close_frame(*ENDINGS[reason]))

    def look_after(self, now: float) -> None:
        super().look_after(now)
        if now - self._heard > SILENCE_S:
            self.end("silent")
        elif now - self._heard > PING_S:
            self.subscriber.note("ping frame", frame(Opcode.PING, b""))

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._incoming = self._reader.feed(data)
        self._listen()

    def _listen(self) -> None:
        """Do what was asked, as far as the client's budget goes; the rest waits, and what follows is not read."""
        try:
            while not (wait_s := self._budget.wait_s(self._loop.time())):
                message = next(self._incoming, None)
                if message is None or self._transport.is_closing():
                    break
                self._take(message)
        except WebSocketError as error:
            self.reason = "protocol"
            self.close(close_frame(error.code, str(error)))
        if self._transport.is_closing():
            return
        if wait_s:
            self._transport.pause_reading()
            self._loop.call_later(wait_s, self._listen)
        else:
            self._transport.resume_reading()

    def _take(self, message: Incoming) -> None:
        match message.opcode:
            case Opcode.TEXT:
                self._obey(message.payload)
            case Opcode.BINARY:
                self.refuse("bad_request", "control messages are JSON text")
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
            self.refuse("bad_request", "not JSON")
            return
        match command:
            case {"type": "subscribe"}:
                self.subscribe(command)
            case {"type": "unsubscribe"}:
                self.leave()
                self.tell("unsubscribed", {"type": "unsubscribed"})
            case {"type": "auth", "token": str(token)}:
                self._authorize(token)
            case {"type": "ping"}:
                self.tell("pong", {"type": "pong"})
            case _:
                self.refuse(
                    "bad_request", "allowed: subscribe with a stream, unsubscribe, auth with a token, ping"
                )

    def _authorize(self, token: str) -> None:
        if not self._core.auth.wanted:
            self.tell("authorized", {"type": "authorized"})
            return
        try:
            self.grant = self._core.auth.check(token)
        except AuthError as error:
            self.reason = "unauthorized"
            self._core.journal.refused(self.outlet, self._address, str(error))
            self.close(close_frame(Close.UNAUTHORIZED, str(error)))
            return
        self.tell("authorized", {"type": "authorized"})

    def _check_authorized(self) -> None:
        if self.grant is None:
            self.end("unauthorized")


class LiveOutlet:
    """All WebSocket viewers."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.listeners.append(self._announce)

    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [web.get("/api/v1/live", self.handle, allow_head=False)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One handshake."""
        try:
            key = accept_key(request.headers)
        except HandshakeError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        door, transport = front_door(request)
        viewer = Viewer(transport, self._core, request.get(GRANT))
        door.take_over(request.protocol, viewer)
        viewer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n"
        )
        viewer.greet()
        if request.query:
            viewer.subscribe_as_in(request.query)
        return web.Response()

    def _announce(self, scope: str, content: dict[str, Any]) -> None:
        if content["type"] not in TOLD:
            return
        for client in self._core.clients:
            if isinstance(client, Viewer):
                stream = client.stream or ""
                if scope in ("", stream, stream.partition("/")[0]):
                    client.tell(content["type"], content)


def _closing_code(payload: bytes) -> bytes:
    """The code that a close is answered with: the client's own, section 5.5.1."""
    if len(payload) < 2:
        return b""
    code: int = struct.unpack("!H", payload[:2])[0]
    return payload[:2] if 1000 <= code <= 4999 else struct.pack("!H", Close.PROTOCOL_ERROR)
