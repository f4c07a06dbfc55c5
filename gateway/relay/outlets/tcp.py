"""A stream over plain TCP: for programs that open a connection and read, such as LabVIEW's.

Where the relay asks for tokens, the client's first line is one; whatever else a client says is ignored. It gets
NDJSON, a line a message, or CBOR, each message after its length (u32, big-endian): first the stream's meta, then
frames and gaps; the meta again when it changes; and an error, if there is one, as the last message.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from typing import Any, ClassVar

import cbor2

from gateway.config import TcpSettings
from gateway.relay.auth import EVERYTHING, TOKEN_BYTES, AuthError, Grant
from gateway.relay.client import Client
from gateway.relay.core import Core
from gateway.relay.delivery import Delivery, Form
from gateway.relay.door import Door
from gateway.relay.forms import JsonForm
from gateway.relay.listening import listen
from gateway.relay.pipe import CLOSE_S
from gateway.relay.wish import Wish

LENGTH = struct.Struct("!I")
PROBE_S = 15.0
"""How often something is sent to a client that has closed its side: only that shows whether it still reads."""

ENDINGS = {
    "slow": "the queue is full",
    "gaps": "too many separate gaps to list",
    "expired": "the token has expired",
    "restart": "the relay restarts; come back",
}


def counted(message: bytes) -> bytes:
    """The message after its length."""
    return LENGTH.pack(len(message)) + message


def counted_cbor(delivery: Delivery) -> bytes:
    """The message as it is on MQTT, after its length."""
    return counted(delivery.payload)


class TcpOutlet:
    """One port that gives one stream away in one format."""

    shared: ClassVar[bool] = True

    def __init__(self, core: Core, settings: TcpSettings) -> None:
        self.core = core
        self.settings = settings
        self._lines = settings.format == "ndjson"
        self.form: Form = self._json if self._lines else counted_cbor
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; raises ListenError."""
        self._server = await listen(self.core, "outlet.listen", self.settings.listen, lambda: TcpDoor(self))
        self.core.listeners.append(self._announce)

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    def wire(self, content: Mapping[str, Any]) -> bytes:
        """What is said beside the samples, in the outlet's format."""
        return json.dumps(content).encode() + b"\n" if self._lines else counted(cbor2.dumps(content))

    def meta(self) -> bytes:
        """What is known of the stream."""
        known = self.core.catalogue.streams.get(self.settings.stream)
        return self.wire({"stream": self.settings.stream, "meta": known.meta if known is not None else None})

    def error(self, code: str, message: str) -> bytes:
        """The last message."""
        return self.wire({"error": {"code": code, "message": message}})

    def _json(self, delivery: Delivery) -> bytes:
        return JsonForm(self.core.catalogue.streams[self.settings.stream])(delivery)

    def _announce(self, scope: str, content: dict[str, Any]) -> None:
        if content["type"] != "meta" or scope != self.settings.stream:
            return
        for client in self.core.clients:
            if isinstance(client, TcpReader) and client.source is self:
                client.tell_meta()


class TcpDoor(Door):
    """One connection, until it is known that it may read."""

    def __init__(self, outlet: TcpOutlet) -> None:
        super().__init__(outlet.core.gate)
        self._outlet = outlet
        self._said = b""

    def listen(self, data: bytes) -> None:
        if not self._outlet.core.auth.wanted:
            self._serve(EVERYTHING)
            return
        self._said += data
        line, newline, _ = self._said.partition(b"\n")
        if len(line) > TOKEN_BYTES:
            self._refuse("unauthorized", f"the first line must be a token; it may have {TOKEN_BYTES} bytes")
        elif newline:
            self._check(line.strip())

    def too_many(self, why: str) -> None:
        assert self.transport is not None
        self.transport.write(self._outlet.error("limit", why))
        self.transport.close()

    def too_slow(self) -> None:
        self._refuse("unauthorized", "no token came in time; it must be the first line")

    def _check(self, token: bytes) -> None:
        stream = self._outlet.settings.stream
        try:
            grant = self._outlet.core.auth.check(token.decode("ascii", errors="replace"))
        except AuthError as error:
            self._refuse("unauthorized", str(error))
            return
        if grant.allows(stream):
            self._serve(grant)
        else:
            self._refuse("unauthorized", f"the token does not allow {stream}")

    def _serve(self, grant: Grant) -> None:
        assert self.transport is not None
        reader = TcpReader(self.transport, self._outlet, grant)
        self.let_in(reader)
        reader.tell_meta()
        settings = self._outlet.settings
        reader.join(Wish(stream=settings.stream, policy=settings.policy, mode=settings.mode))

    def _refuse(self, code: str, why: str) -> None:
        """Say why, and read on for a moment: a close with something unread would take the answer with it."""
        assert self.transport is not None
        self._outlet.core.journal.refused("tcp", self._address or "?", why)
        self.let_in(asyncio.Protocol())
        self.transport.write(self._outlet.error(code, why))
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        asyncio.get_running_loop().call_later(CLOSE_S, self.transport.abort)


class TcpReader(Client):
    """One client that reads."""

    outlet = "tcp"

    def __init__(self, transport: asyncio.Transport, source: TcpOutlet, grant: Grant) -> None:
        super().__init__(transport, source.core, source.form, grant)
        self.source = source
        self.half_closed_since: float | None = None

    def tell_meta(self) -> None:
        """Say what is known of the stream."""
        self.subscriber.note("meta", self.source.meta())

    def look_after(self, now: float) -> None:
        super().look_after(now)
        if self.half_closed_since is not None and now - self.half_closed_since > PROBE_S:
            self.half_closed_since = now
            self.tell_meta()

    def say_goodbye(self, reason: str) -> None:
        self.close(self.source.error(reason, ENDINGS[reason]))

    def eof_received(self) -> bool:
        """A client that has said all it had to say may read on; TLS knows no such thing."""
        self.half_closed_since = self._loop.time()
        return self._transport.get_extra_info("sslcontext") is None
