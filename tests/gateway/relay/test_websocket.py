"""WebSocket frames: the examples of RFC 6455, and a client that is not ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from gateway.relay.websocket import binary_frame, text_frame
from tests.support.ports import free_port

SIZES = [0, 1, 125, 126, 127, 255, 256, 65_535, 65_536, 300_000]
"""Around each change in the form of the length (RFC 6455, section 5.2)."""


def payload(size: int) -> bytes:
    return bytes(number * 7 % 256 for number in range(size))


def test_the_frames_are_those_of_the_standard_s_examples() -> None:
    """RFC 6455, section 5.7: 256 bytes and 64 KiB of unmasked binary data."""
    assert binary_frame(payload(256)) == bytes.fromhex("827e0100") + payload(256)
    assert binary_frame(payload(65_536)) == bytes.fromhex("827f0000000000010000") + payload(65_536)
    assert binary_frame(b"Hello") == bytes.fromhex("820548656c6c6f")


def test_control_messages_are_compact_json_in_a_text_frame() -> None:
    assert text_frame({"type": "pong", "of": [1, 2]}) == b'\x81\x1a{"type":"pong","of":[1,2]}'


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where a server sends one frame of each size, past the library that made the handshake."""

    async def send(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        assert request.transport is not None
        for size in SIZES:
            request.transport.write(binary_frame(payload(size)))
            request.transport.write(text_frame({"size": size, "text": 'µ "quoted" \\ \n' * (size // 16)}))
        await websocket.receive()
        return websocket

    application = web.Application()
    application.add_routes([web.get("/", send)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"ws://127.0.0.1:{port}/"
    await runner.cleanup()


async def test_a_client_that_is_not_ours_reads_every_size(address: str) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as websocket:
        for size in SIZES:
            assert await websocket.receive_bytes() == payload(size)
            content = json.loads(await websocket.receive_str())
            assert content == {"size": size, "text": 'µ "quoted" \\ \n' * (size // 16)}
        await websocket.close()
        assert websocket.close_code == 1000
