"""The front door: limits, slow clients, and bytes that are no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.config import RelayConfig, load_mapping
from gateway.relay.service import RelayService
from tests.support.ports import free_port

LIMIT = 4


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A relay that takes few connections and is impatient; it needs no broker."""
    number = free_port()
    settings = {"listen": f"127.0.0.1:{number}", "connections": LIMIT, "handshake": "300ms"}
    content = {"relay": settings, "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"}}
    async with RelayService(load_mapping(RelayConfig, content, "test")):
        yield number


async def ask(port: int, request: bytes) -> bytes:
    """Everything that is answered until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


async def test_a_connection_too_many_is_told_so_and_the_others_stay(port: int) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMIT)]
    for _, writer in held:
        writer.write(HEALTH.replace(b"close", b"keep-alive"))
    for reader, _ in held:
        await reader.readuntil(b"}")
    answer = await ask(port, HEALTH)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"the relay takes 4 connections" in answer
    for reader, writer in held:
        writer.write(HEALTH)
        assert b'"status": "ok"' in await reader.read()
        writer.close()


async def test_who_leaves_makes_room(port: int) -> None:
    for _ in range(3 * LIMIT):
        assert b" 200 OK" in await ask(port, HEALTH)


async def test_a_client_that_does_not_say_what_it_wants_is_sent_away(port: int) -> None:
    """Slow loris: a byte of the head now and then."""
    assert (await ask(port, b"GET /healthz HTTP/1.1\r\nHost: 127.")).startswith(b"HTTP/1.1 408 ")
    assert (await ask(port, b"")).startswith(b"HTTP/1.1 408 ")
    assert b" 200 OK" in await ask(port, HEALTH)


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"\xff" * 100_000,
    ],
)
async def test_what_is_no_http_is_refused_and_ends_nothing(port: int, request_: bytes) -> None:
    answer = await ask(port, request_)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert b" 200 OK" in await ask(port, HEALTH)


async def test_requests_in_one_go_and_in_single_bytes_are_answered(port: int) -> None:
    both = await ask(port, HEALTH.replace(b"close", b"keep-alive") + HEALTH)
    assert both.count(b" 200 OK") == 2
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in HEALTH:
        writer.write(bytes([byte]))
        await writer.drain()
    assert b" 200 OK" in await reader.read()
    writer.close()
