"""A relay with a TCP outlet, what is published to it, and clients that are sockets and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from typing import Any, Self

import cbor2

from gateway.codec import CODECS
from gateway.config import RelayConfig, load_mapping
from gateway.model import Message
from gateway.relay.client import Client
from gateway.relay.service import RelayService
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S, eventually

STREAM = "bbb1/ecg"
META = {"v": 1, "channels": [{"name": "lead_i", "unit": "mV", "scale": 0.5, "offset": -1.0}]}
QUEUE_BYTES = 256 << 10


class TcpYard:
    """A relay with one TCP outlet; it needs no broker."""

    def __init__(
        self,
        format_: str = "ndjson",
        *,
        auth: dict[str, Any] | None = None,
        outlet: dict[str, Any] | None = None,
        **relay: Any,
    ) -> None:
        self.port = free_port()
        self.http_port = free_port()
        self.format = format_
        address = f"127.0.0.1:{self.port}"
        settings = {"type": "tcp", "listen": address, "stream": STREAM, "format": format_, **(outlet or {})}
        content = {
            "relay": {"listen": f"127.0.0.1:{self.http_port}", "queue": QUEUE_BYTES, **relay},
            "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
            "auth": auth or {},
            "history": {"disk": 0},
            "outlet": [settings],
        }
        self.service = RelayService(load_mapping(RelayConfig, content, "test"))
        self.core = self.service._core

    async def __aenter__(self) -> Self:
        await self.service.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.__aexit__(None, None, None)

    @property
    def clients(self) -> list[Client]:
        """Who is connected, the oldest first."""
        return list(self.core.clients)

    async def has(self, count: int) -> None:
        """Wait until so many clients read."""
        await eventually(lambda: len(self.core.clients) == count, f"{count} clients")

    def publish(self, *messages: Message) -> list[bytes]:
        """As if they had come by MQTT; their payloads."""
        state = self.core.catalogue.stream("bbb1", "ecg")
        payloads = [CODECS["cbor"].encode(message) for message in messages]
        for payload in payloads:
            for delivery in state.intake.take(payload):
                self.core.publish(state, delivery)
        return payloads

    def tell_meta(self, meta: dict[str, Any]) -> None:
        """As if it had come by MQTT."""
        state = self.core.catalogue.stream("bbb1", "ecg")
        state.take_meta(meta)
        self.core.announce(STREAM, {"type": "meta", "stream": STREAM, "meta": meta})

    async def connect(self, *, receive_buffer: int | None = None, **tls: Any) -> TcpClient:
        """A client; with a small buffer it stalls soon."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        limit = 1 << 16 if receive_buffer is None else 1 << 10
        reader, writer = await asyncio.open_connection(sock=connection, limit=limit, **tls)
        return TcpClient(reader, writer, self.format)


class TcpClient:
    """One connection to the outlet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, format_: str) -> None:
        self.reader = reader
        self.writer = writer
        self._format = format_

    async def next(self) -> dict[str, Any]:
        """The next message; EOFError when there are no more."""
        async with asyncio.timeout(PATIENCE_S):
            if self._format == "ndjson":
                line = await self._line()
                content: dict[str, Any] = json.loads(line)
            else:
                content = cbor2.load(io.BytesIO(await self.payload()))
        return content

    async def payload(self) -> bytes:
        """The next message's bytes, without its length."""
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        return await self.reader.readexactly(size)

    async def error(self) -> dict[str, Any]:
        """The error that is the last message; others are passed over."""
        while "error" not in (content := await self.next()):
            pass
        assert await self.reader.read() == b"", "nothing comes after an error"
        error: dict[str, Any] = content["error"]
        return error

    async def say(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Vanish with a RST."""
        linger = b"\1\0\0\0\0\0\0\0"
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def _line(self) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                return b"".join([*parts, await self.reader.readuntil(b"\n")])
            except asyncio.LimitOverrunError as error:
                parts.append(await self.reader.readexactly(error.consumed))
            except asyncio.IncompleteReadError as error:
                raise EOFError(f"ended with {error.partial!r}") from None
