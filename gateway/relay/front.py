"""The front door: the relay's port for HTTP.

It hands a connection to aiohttp once the head of its first request is there, and lets a handler take it out of
aiohttp's hands for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.relay.door import Door, Gate

HEAD_BYTES = 16 << 10
"""The longest request head that is waited for; aiohttp refuses it from here on."""


class FrontDoor(Door):
    """One connection to the relay's port."""

    def __init__(self, gate: Gate, server: Callable[[], asyncio.Protocol]) -> None:
        super().__init__(gate)
        self._server = server
        self._head = bytearray()

    def listen(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" not in self._head and len(self._head) <= HEAD_BYTES:
            return
        assert self.transport is not None
        behind = self._server()
        self.let_in(behind)
        behind.connection_made(self.transport)
        behind.data_received(bytes(self._head))
        self._head.clear()

    def take_over(self, handler: RequestHandler, protocol: asyncio.Protocol) -> None:
        """From now on the connection is the protocol's; aiohttp's handler must return at once.

        Before anything is sent: the transport says only to the protocol behind the door that it takes no more.
        """
        self.let_in(protocol)
        handler.transport = None
        asyncio.get_running_loop().call_soon(handler.connection_lost, None)

    def too_many(self, why: str) -> None:
        self._refuse(503, "Service Unavailable", why)

    def too_slow(self) -> None:
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
