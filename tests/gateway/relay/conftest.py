"""A relay in this process on a real broker, and what talks to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.config import RelayConfig, load_mapping
from gateway.relay.service import RelayService
from gateway.topics import Topics
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S, eventually

QUEUE_BYTES = 256 << 10
SUBSCRIPTIONS = len(Topics().everything_for_relay())


def config_for(
    broker: Mosquitto,
    port: int,
    history: Mapping[str, Any] | None = None,
    outlet: Sequence[Mapping[str, Any]] = (),
) -> RelayConfig:
    """A relay from that broker to that port, with a small queue for each subscriber; no disk unless it is told."""
    content = {
        "relay": {"listen": f"127.0.0.1:{port}", "queue": QUEUE_BYTES},
        "mqtt": {"url": broker.url},
        "history": history or {"disk": 0},
        "outlet": list(outlet),
    }
    return load_mapping(RelayConfig, content, "test")


class Relay:
    """A running relay, as its clients see it."""

    def __init__(self, service: RelayService, session: aiohttp.ClientSession, port: int) -> None:
        self.service = service
        self.session = session
        self.url = f"http://127.0.0.1:{port}"

    async def get(self, path: str) -> Any:
        """The JSON that is there."""
        async with self.session.get(self.url + path) as response:
            assert response.status == 200
            return await response.json()

    async def stream(self, key: str) -> dict[str, Any] | None:
        """What the relay says of a stream."""
        listing = (await self.get("/api/v1/streams"))["streams"]
        return next((stream for stream in listing if stream["stream"] == key), None)

    async def came_to(self, key: str, end: int) -> None:
        """Wait until the relay has taken the stream up to that index."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.stream(key) or {}).get("end") != end:
                await asyncio.sleep(0.01)

    async def connected(self, expected: bool = True) -> None:
        """Wait until the relay is, or is not, connected to the broker."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.get("/healthz"))["broker"] is not expected:
                await asyncio.sleep(0.01)

    async def watch(self, query: str = "") -> Viewer:
        """Open `/api/v1/live`."""
        return Viewer(await self.session.ws_connect(f"{self.url}/api/v1/live{query}"))


class Viewer:
    """One WebSocket on `/api/v1/live`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> bytes | dict[str, Any]:
        """The next message: data as bytes, control messages as what they say."""
        message = await self.socket.receive(PATIENCE_S)
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            return data
        assert message.type is aiohttp.WSMsgType.TEXT, message
        content: dict[str, Any] = json.loads(message.data, parse_constant=_refuse)
        return content

    async def told(self, kind: str) -> dict[str, Any]:
        """The next control message of that type; others are passed over, data is not expected."""
        while True:
            content = await self.next()
            assert isinstance(content, dict), "data before the expected control message"
            if content["type"] == kind:
                return content

    async def data(self) -> bytes:
        """The next message of the stream; control messages are passed over."""
        while isinstance(content := await self.next(), dict):
            pass
        return content

    async def say(self, **content: Any) -> None:
        """Send a control message."""
        await self.socket.send_str(json.dumps(content))

    async def subscribe(self, stream: str) -> dict[str, Any]:
        """Subscribe; the answer."""
        await self.say(type="subscribe", stream=stream)
        return await self.told("subscribed")

    async def is_quiet(self) -> bool:
        """Whether nothing is waiting: what was asked last is answered next."""
        await self.say(type="ping")
        return await self.next() == {"type": "pong"}


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON; a browser cannot read it")


@pytest.fixture
def device(mosquitto: Mosquitto) -> Iterator[Peer]:
    """Somebody who publishes what a device would."""
    with Peer(mosquitto.port) as peer:
        yield peer


@asynccontextmanager
async def relay_at(
    broker: Mosquitto, history: Mapping[str, Any] | None = None, outlet: Sequence[Mapping[str, Any]] = ()
) -> AsyncIterator[Relay]:
    """A relay that runs, and may not be connected yet."""
    port = free_port()
    async with (
        RelayService(config_for(broker, port, history, outlet)) as service,
        aiohttp.ClientSession() as session,
    ):
        yield Relay(service, session, port)


async def hears(relay: Relay, broker: Mosquitto) -> None:
    """Wait until the relay, the first one at that broker, gets whatever is published."""
    await eventually(lambda: broker.log.count("Sending SUBACK") >= SUBSCRIPTIONS, "its subscriptions")
    await relay.connected()


@pytest.fixture
async def relay(mosquitto: Mosquitto) -> AsyncIterator[Relay]:
    """A relay that hears what is published."""
    async with relay_at(mosquitto) as running:
        await hears(running, mosquitto)
        yield running
