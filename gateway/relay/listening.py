"""How the relay listens: on every port in the same way."""

from __future__ import annotations

import asyncio
import os
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
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # asyncio wraps it in many words
        raise ListenError(f"{key}: cannot listen on {address}: {reason}") from None
