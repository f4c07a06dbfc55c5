"""A past that is asked for in the address is sent while the connection changes hands: whole, and in order."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from gateway.codec.cbor import CborCodec
from gateway.model import Batch
from tests.gateway.relay.siege import Besieged, besieged
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.wires import frames_in

CHANNELS, FRAMES = 8, 100
JOINS = 20


def payload(number: int) -> bytes:
    data = np.random.default_rng(number).integers(-2000, 2000, (FRAMES, CHANNELS)).astype("<i2")
    index = number * FRAMES
    return CborCodec().encode(Batch(1, index, index * 1_000_000, 0, data, Fraction(1000)))


PAYLOADS = [payload(number) for number in range(300)]


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def relay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """With half a megabyte of a stream."""
    settings = {"relay.loop": request.param}
    with besieged(tmp_path_factory.mktemp("relay"), Besieged, settings) as running:
        for payload in PAYLOADS:
            running.device.publish("headwater/bbb1/stream/past/batch", payload)
        ask = b"GET /api/v1/streams HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        end = f'"end": {len(PAYLOADS) * FRAMES}'.encode()
        wait_until(lambda: end in running.say(ask), "all of it")
        yield running


def sipped(relay: Besieged, request: str, chance: random.Random) -> bytes:
    """What is answered up to the last payload, read in pieces of any size."""
    data = bytearray()
    with socket.socket() as reader:
        reader.settimeout(PATIENCE_S)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, chance.choice((4096, 16384, 65536, 262144)))
        reader.connect(("127.0.0.1", relay.port))
        reader.sendall(request.encode())
        while not data.endswith(PAYLOADS[-1]):
            part = reader.recv(chance.choice((1_000, 50_000, 500_000)))
            assert part, "it was closed"
            data += part
    return bytes(data).partition(b"\r\n\r\n")[2]


def test_over_http(relay: Besieged) -> None:
    chance = random.Random(1)
    for _ in range(JOINS):
        request = "GET /api/v1/streams/bbb1/past/live?format=cbor&last=60s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
        assert sipped(relay, request, chance) == b"".join(PAYLOADS)


def test_over_a_websocket(relay: Besieged) -> None:
    chance = random.Random(2)
    for _ in range(JOINS):
        request = (
            "GET /api/v1/live?stream=bbb1/past&last=60s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        frames = frames_in(sipped(relay, request, chance))
        assert [content for opcode, content in frames if opcode == 2] == PAYLOADS
