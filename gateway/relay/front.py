"""The front door: every connection comes in here, before anything is known of it.

It counts connections, in all and for each address, gives a client some seconds to say what it wants, hands the
connection to aiohttp, and lets a handler take it out of aiohttp's hands for good.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

HEAD_BYTES = 16 << 10
"""The longest request head that is waited for; aiohttp refuses it from here on."""


@dataclass(slots=True)
class Gate:
    """Who may come in. Pure."""

    maximum: int
    maximum_per_address: int
    handshake_s: float
    """How long a client may take for the head of its first request."""
    addresses: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    @property
    def connections(self) -> int:
        """How many there are."""
        return self.addresses.total()

    def enter(self, address: str) -> str | None:
        """Count a connection; or why it is refused."""
        if self.connections >= self.maximum:
            self.refused += 1
            return f"the relay takes {self.maximum} connections"
        if self.addresses[address] >= self.maximum_per_address:
            self.refused += 1
            return f"the relay takes {self.maximum_per_address} connections from one address"
        self.addresses[address] += 1
        return None

    def leave(self, address: str) -> None:
        """The connection is gone."""
        self.addresses[address] -= 1
        if not self.addresses[address]:
            del self.addresses[address]


class FrontDoor(asyncio.Protocol):
    """One connection. What it is for is decided by the protocol behind it, and that may change."""

    def __init__(self, gate: Gate, server: Callable[[], asyncio.Protocol]) -> None:
        self._gate = gate
        self._server = server
        self._behind: asyncio.Protocol | None = None
        self._head = bytearray()
        self._address: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else "local"
        refusal = self._gate.enter(address)
        if refusal is not None:
            self._refuse(503, "Service Unavailable", refusal)
            return
        self._address = address
        self._timer = asyncio.get_running_loop().call_later(self._gate.handshake_s, self._too_slow)

    def data_received(self, data: bytes) -> None:
        if self._behind is not None:
            self._behind.data_received(data)
            return
        if self._address is None:
            return
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > HEAD_BYTES:
            self._let_in()

    def take_over(self, handler: RequestHandler, protocol: asyncio.Protocol) -> None:
        """From now on the connection is the protocol's; aiohttp's handler must return at once."""
        self._behind = protocol
        handler.transport = None
        asyncio.get_running_loop().call_soon(handler.connection_lost, None)

    def pause_writing(self) -> None:
        if self._behind is not None:
            self._behind.pause_writing()

    def resume_writing(self) -> None:
        if self._behind is not None:
            self._behind.resume_writing()

    def eof_received(self) -> bool | None:
        return self._behind.eof_received() if self._behind is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._address is not None:
            self._gate.leave(self._address)
        if self._behind is not None:
            self._behind.connection_lost(exc)
        self._behind = None

    def _let_in(self) -> None:
        assert self.transport is not None
        if self._timer is not None:
            self._timer.cancel()
        self._behind = self._server()
        self._behind.connection_made(self.transport)
        self._behind.data_received(bytes(self._head))
        self._head.clear()

    def _too_slow(self) -> None:
        self._refuse(408, "Request Timeout", "the request's head did not come in time")

    def _refuse(self, status: int, phrase: str, why: str) -> None:
        if self.transport is None:
            return
        text = f"{why}\n".encode()
        head = (
            f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
            "Retry-After: 5\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + text)
        self.transport.close()


def front_door(request: web.BaseRequest) -> tuple[FrontDoor, asyncio.Transport]:
    """The door that a request came through, and its transport; raises ConnectionResetError if it is gone."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    return cast(FrontDoor, transport.get_protocol()), transport
