"""How the relay listens: on every port in the same way."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from gateway.config import host_of, port_of
from gateway.errors import ListenError
from gateway.relay.core import Core
from gateway.relay.door import Door


async def listen(core: Core, key: str, address: str, door: Callable[[], Door]) -> asyncio.Server:
    """Take connections at `address:port`, which is what the configuration's key says; raises ListenError."""
    try:
        return await asyncio.get_running_loop().create_server(
            door,
            host_of(address),
            port_of(address),
            ssl=core.tls,
            ssl_handshake_timeout=core.settings.handshake if core.tls else None,
            reuse_port=core.settings.workers > 1 or None,
        )
    except OSError as error:
        raise _cannot_listen(key, address, error) from None


def check_free(key: str, address: str) -> None:
    """Whether nobody else listens there, not even somebody who shares the port; raises ListenError."""
    try:
        places = socket.getaddrinfo(host_of(address), port_of(address), type=socket.SOCK_STREAM)
        for family, kind, protocol, _, place in places:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio does
                probe.bind(place)
    except OSError as error:
        raise _cannot_listen(key, address, error) from None


def _cannot_listen(key: str, address: str, error: OSError) -> ListenError:
    reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
    return ListenError(f"{key}: cannot listen on {address}: {reason}")  # asyncio says it in many words
