"""WebSocket frames: the examples of RFC 6455, and a client that is not ours."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

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
from tests.support.ports import free_port

SIZES = [0, 1, 125, 126, 127, 255, 256, 65_535, 65_536, 300_000]
"""Around each change in the form of the length (RFC 6455, section 5.2)."""


def binary_frame(content: bytes) -> bytes:
    return frame(Opcode.BINARY, content)


def masked(opcode: int, content: bytes, *, final: bool = True, mask: bytes = b"\x37\xfa\x21\x3d") -> bytes:
    """A client's frame."""
    head = frame(Opcode.BINARY, content)[: -len(content) or None]
    covered = bytes(byte ^ mask[position % 4] for position, byte in enumerate(content))
    return bytes([opcode | (0x80 if final else 0), head[1] | 0x80]) + head[2:] + mask + covered


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


def test_the_client_s_frames_are_those_of_the_standard_s_examples() -> None:
    """RFC 6455, section 5.7: masked "Hello", whole and in two fragments with a ping between."""
    assert list(FrameReader(100).feed(bytes.fromhex("818537fa213d7f9f4d5158"))) == [
        Incoming(Opcode.TEXT, b"Hello")
    ]
    reader = FrameReader(100)
    assert list(reader.feed(masked(1, b"Hel", final=False))) == []
    assert list(reader.feed(masked(9, b"ping"))) == [Incoming(Opcode.PING, b"ping")]
    assert list(reader.feed(masked(0, b"lo"))) == [Incoming(Opcode.TEXT, b"Hello")]


@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 4))), st.integers(1, 50))
def test_messages_come_whole_however_they_were_cut(messages: list[tuple[bytes, int]], cut: int) -> None:
    sent = b""
    for content, fragments in messages:
        size = len(content) // fragments + 1
        parts = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
        for number, part in enumerate(parts):
            sent += masked(0 if number else 2, part, final=number == len(parts) - 1)
    reader = FrameReader(1000)
    came = [message for start in range(0, len(sent), cut) for message in reader.feed(sent[start : start + cut])]
    assert came == [Incoming(Opcode.BINARY, content) for content, _ in messages]


@given(st.binary(max_size=2000), st.integers(1, 100))
def test_any_bytes_are_messages_or_one_documented_error(data: bytes, cut: int) -> None:
    reader = FrameReader(200)
    code: Close | None = None
    try:
        for start in range(0, len(data), cut):
            for message in reader.feed(data[start : start + cut]):
                assert len(message.payload) <= 200
    except WebSocketError as error:
        code = error.code
    assert code in (None, Close.PROTOCOL_ERROR, Close.TOO_BIG)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(1, b"x" * 201), Close.TOO_BIG),
        (masked(1, b"x" * 150, final=False) + masked(0, b"x" * 51), Close.TOO_BIG),
        (struct.pack("!BBQ", 0x81, 0xFF, 1 << 62), Close.TOO_BIG),
        (masked(1, b"", final=False) + masked(0, b"", final=False) * 1000, Close.TOO_BIG),
        (b"\x81\x05Hello", Close.PROTOCOL_ERROR),
        (masked(0, b"x"), Close.PROTOCOL_ERROR),
        (masked(1, b"x", final=False) + masked(1, b"x"), Close.PROTOCOL_ERROR),
        (masked(9, b"x", final=False), Close.PROTOCOL_ERROR),
        (masked(9, b"x" * 126), Close.PROTOCOL_ERROR),
        (masked(3, b"x"), Close.PROTOCOL_ERROR),
        (masked(0x41, b"x"), Close.PROTOCOL_ERROR),
    ],
)
def test_a_client_that_breaks_the_protocol_is_told_how(data: bytes, code: Close) -> None:
    with pytest.raises(WebSocketError) as caught:
        list(FrameReader(200).feed(data))
    assert caught.value.code == code


def test_a_close_has_its_code_and_a_reason_of_bounded_length() -> None:
    assert close_frame(Close.SLOW, "slow") == b"\x88\x06\x11\x4dslow"
    assert len(close_frame(Close.SLOW, "x" * 1000)) == 2 + 125


HANDSHAKE = {
    "Upgrade": "WebSocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_the_handshake_is_that_of_the_standard_s_example() -> None:
    """RFC 6455, section 1.3."""
    assert accept_key(HANDSHAKE) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "change",
    [
        {"Upgrade": "h2c"},
        {"Connection": "close"},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": "dGhlIHNhbXBsZQ=="},
        {"Sec-WebSocket-Key": "\u00e4"},
        {"Sec-WebSocket-Key": ""},
    ],
)
def test_a_request_that_is_no_handshake_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(HandshakeError):
        accept_key({**HANDSHAKE, **change})
