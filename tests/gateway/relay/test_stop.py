"""A stop under load: two hundred subscribers on every outlet, some of which do not read."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.codec import CODECS
from gateway.relay.websocket import Close, close_frame
from gateway.topics import Topics
from tests.gateway.relay.crew import Crew
from tests.support.messages import batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port

READING, STALLED = 40, 40
"""Of each kind of reading subscriber, and of those that do not read."""
TAIL_BYTES = 200
STOP_S = 15.0
"""It takes two seconds, one of them for those who do not read; busy machines need more."""

CHUNKED = b"0\r\n\r\n"
TOLD = close_frame(Close.SERVICE_RESTART, "the relay restarts")


def request(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


def websocket(stream: str) -> bytes:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", key)
    return request(f"/api/v1/live?stream={stream}", *upgrade)


class Subscriber:
    """A connection that asks for something and remembers the last bytes that it got."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self.began = asyncio.Event()

    async def read(self) -> bytes:
        """Read to the end, in good order; the tail."""
        tail = b""
        while data := await self._reader.read(1 << 16):
            tail = (tail + data)[-TAIL_BYTES:]
            self.began.set()
        return tail


async def subscribe(port: int, say: bytes, receive_buffer: int | None = None) -> Subscriber:
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 12)
    writer.write(say)
    return Subscriber(reader, writer)


@asynccontextmanager
async def load(device: Peer) -> AsyncIterator[None]:
    """Small batches of one stream and large ones of another, until the end."""
    enough = asyncio.Event()

    async def publish(stream: str, frames: int, wait_s: float) -> None:
        index = 0
        while not enough.is_set():
            payload = CODECS["cbor"].encode(batch(index, frames))
            await asyncio.to_thread(device.publish, Topics().batch("bbb1", stream), payload)
            index += frames
            await asyncio.sleep(wait_s)

    tasks = [asyncio.create_task(publish("ecg", 20, 0.02)), asyncio.create_task(publish("big", 32_768, 0.05))]
    try:
        yield
    finally:
        enough.set()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_subscriber_is_told_to_come_back_and_those_who_do_not_read_hold_nothing_up(
    tmp_path: Path, mosquitto: Mosquitto, device: Peer, workers: int
) -> None:
    tcp_port = free_port()
    outlet = f'outlet=[{{type="tcp",listen="127.0.0.1:{tcp_port}",stream="bbb1/ecg"}}]'
    async with Crew(tmp_path, mosquitto.url, outlet, "relay.queue=256KiB", count=workers) as crew, load(device):
        await crew.connected()
        asks = {
            "websocket": (crew.port, websocket("bbb1/ecg")),
            "http": (crew.port, request("/api/v1/streams/bbb1/ecg/live?format=csv")),
            "events": (crew.port, request("/api/v1/events")),
            "tcp": (tcp_port, b""),
        }
        readers = {kind: [await subscribe(*ask) for _ in range(READING)] for kind, ask in asks.items()}
        stalled = [await subscribe(crew.port, websocket("bbb1/big"), 4096) for _ in range(STALLED)]
        tails = {kind: [asyncio.create_task(one.read()) for one in those] for kind, those in readers.items()}
        await asyncio.gather(*(one.began.wait() for those in readers.values() for one in those))

        async def all_stall() -> bool:
            answers = (await crew.ask_all("/api/v1/subscribers")).values()
            lost = [one for answer in answers for one in answer["subscribers"] if one["lost_frames"]]
            return len(lost) == STALLED

        async with asyncio.timeout(60):
            while not await all_stall():
                await asyncio.sleep(0.1)

        began = time.monotonic()
        code = await asyncio.to_thread(crew.process.terminate)
        took = time.monotonic() - began
        assert code == 0
        assert took < STOP_S, crew.process.err
        for kind, expected in {"websocket": TOLD, "http": CHUNKED, "events": CHUNKED}.items():
            ends = await asyncio.gather(*tails[kind])
            assert all(end.endswith(expected) for end in ends), kind
        for tail in tails["tcp"]:
            assert json.loads((await tail).splitlines()[-1])["error"]["code"] == "restart"
        for one in stalled:
            one.writer.transport.abort()
        assert "Traceback" not in crew.process.err
        assert "is killed" not in crew.process.err
