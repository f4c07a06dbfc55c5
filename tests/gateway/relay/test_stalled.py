"""Who stalls costs the bound of one queue and nothing else, and is told exactly what was lost; at every outlet."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import socket
import struct
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
import zmq

from gateway.codec import CODECS
from gateway.relay.client import Client
from gateway.relay.outlets.zmq import ZmqOutlet
from gateway.relay.pipe import UNSENT_BYTES
from gateway.relay.subscriber import CHUNK_BYTES
from gateway.topics import Topics
from tests.bench.greetings import FLAVOURS
from tests.gateway.relay.conftest import QUEUE_BYTES, SUBSCRIPTIONS, Relay, Viewer, relay_at
from tests.support.messages import batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.wires import READINGS, Ledger, Told, frames_in, mflow

topics = Topics()
STREAM = "bbb1/ecg"
LIVE = f"/api/v1/streams/{STREAM}/live?format="
META = json.dumps({"v": 1, "channels": [{"name": "lead_i", "unit": "mV"}]}).encode()
RECEIVE_BYTES = 8 << 10
LULL_S = 0.1
ENOUGH_BYTES = 2 << 20
"""On the wire of the one that stalls: more than the sockets and the queue hold together."""
ENOUGH_FOR_ZMQ_BYTES = 12 << 20
"""ZeroMQ keeps 100 messages itself, for each peer, and has its own socket options."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where somebody stalls."""

    name: str
    frames: int
    """In each batch."""
    wire_bytes: int
    """Of each message, at least."""
    topic: str = ""
    flavour: str = "http"
    policy: str = "drop_oldest"

    def __str__(self) -> str:
        return f"{self.name}-{self.policy}"


OUTLETS = (
    Outlet("websocket", 8192, 16_384, STREAM, "websocket"),
    Outlet("websocket", 8192, 16_384, f"{STREAM}&policy=decimate", "websocket", "decimate"),
    Outlet("http-cbor", 8192, 16_384, f"{LIVE}cbor"),
    Outlet("http-csv", 1000, 30_000, f"{LIVE}csv"),
    Outlet("http-ndjson", 500, 40_000, f"{LIVE}ndjson"),
    Outlet("http-events", 10, 16_384, "/api/v1/events"),
    Outlet("tcp-cbor", 8192, 16_384, flavour="tcp"),
    Outlet("tcp-ndjson", 500, 40_000, flavour="tcp"),
    Outlet("zmq", 8192, 16_384),
)


class Straggler(Protocol):
    """One that reads nothing until it is told to."""

    async def read(self) -> None:
        """Wait for something, and read until nothing more comes for a moment."""

    def told(self) -> Iterator[Told]:
        """What it was told so far."""


class SocketStraggler:
    """On a TCP connection."""

    def __init__(self, connected: socket.socket, outlet: str) -> None:
        self.data = bytearray()
        self._socket = connected
        self._reading = READINGS[outlet]

    async def read(self) -> None:
        patience = PATIENCE_S
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(patience):
                    part = await asyncio.get_running_loop().sock_recv(self._socket, 1 << 20)
                if not part:
                    raise ConnectionResetError("the relay closed the connection")
                self.data += part
                patience = LULL_S
        assert patience == LULL_S, "nothing came"

    def told(self) -> Iterator[Told]:
        return self._reading(bytes(self.data))


class ZmqStraggler:
    """A PULL socket."""

    def __init__(self, connected: zmq.Socket[bytes]) -> None:
        self._socket = connected
        self._messages: list[list[bytes]] = []

    async def read(self) -> None:
        assert await asyncio.to_thread(self._socket.poll, int(PATIENCE_S * 1000)), "nothing came"
        while self._socket.poll(int(LULL_S * 1000)):
            self._messages.append(self._socket.recv_multipart())
            await asyncio.sleep(0)

    def told(self) -> Iterator[Told]:
        return mflow(self._messages)


@asynccontextmanager
async def stalled_at(outlet: Outlet, relay: Relay, port: int) -> AsyncIterator[Straggler]:
    """Somebody who has subscribed and reads nothing; `port` is that of an outlet that has its own."""
    if outlet.name == "zmq":
        context = zmq.Context()
        pull: zmq.Socket[bytes] = context.socket(zmq.PULL)
        pull.setsockopt(zmq.RCVBUF, RECEIVE_BYTES)
        pull.setsockopt(zmq.RCVHWM, 1)
        pull.connect(f"tcp://127.0.0.1:{port}")
        yield ZmqStraggler(pull)
        context.destroy(0)
        return
    before = len(relay.service._core.clients)
    with socket.socket() as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        own = outlet.flavour == "tcp"
        connected.connect(("127.0.0.1", port if own else int(relay.url.rpartition(":")[2])))
        await asyncio.to_thread(FLAVOURS[outlet.flavour].greet, connected, outlet.topic)
        connected.setblocking(False)
        await eventually(lambda: len(relay.service._core.clients) == before + 1, "the one that stalls")
        yield SocketStraggler(connected, outlet.name)


@asynccontextmanager
async def relay_with(mosquitto: Mosquitto, outlet: Outlet, port: int) -> AsyncIterator[Relay]:
    """A relay with the outlet."""
    own: dict[str, dict[str, Any]] = {
        "zmq": {"type": "zmq", "bind": f"tcp://127.0.0.1:{port}", "mode": "push"},
        "tcp-cbor": {"type": "tcp", "listen": f"127.0.0.1:{port}", "format": "cbor"},
        "tcp-ndjson": {"type": "tcp", "listen": f"127.0.0.1:{port}", "format": "ndjson"},
    }
    tables = [{"stream": STREAM, **own[outlet.name]}] if outlet.name in own else []
    async with relay_at(mosquitto, outlet=tables) as relay:
        await eventually(lambda: mosquitto.log.count("Sending SUBACK") == SUBSCRIPTIONS, "its subscriptions")
        yield relay


class Sender:
    """The device: batches one after the other, each with an event as long as 16 KiB."""

    def __init__(self, device: Peer, outlet: Outlet) -> None:
        self._device = device
        self._frames = outlet.frames
        self._events = outlet.name == "http-events"
        self.end = 0
        """The index after the last frame."""

    def send(self) -> bytes:
        """The next batch."""
        payload = CODECS["cbor"].encode(batch(self.end, self._frames))
        self.end += self._frames
        if self._events:
            self._device.publish(topics.event("bbb1", "load", "made"), json.dumps("x" * 16_384).encode())
        self._device.publish(topics.batch("bbb1", "ecg"), payload)
        return payload


def held_bytes(relay: Relay, outlet: Outlet) -> int:
    """The most that is held for anybody: in the queue, on the way to the socket, and in the kernel."""
    if outlet.name == "zmq":
        (zmq_outlet,) = relay.service._outlets
        assert isinstance(zmq_outlet, ZmqOutlet)
        return zmq_outlet.subscriber.queued_bytes + len(zmq_outlet._held)
    return max(
        client.subscriber.queued_bytes + client._transport.get_write_buffer_size() + _in_kernel(client)
        for client in relay.service._core.clients
    )


def _in_kernel(client: Client) -> int:
    """Bytes that were written and have not been acknowledged: SIOCOUTQ, tcp(7)."""
    handle = client._transport.get_extra_info("socket").fileno()
    (count,) = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)))
    return int(count)


async def get_all(healthy: Viewer, sender: Sender, count: int, check: Callable[[], None]) -> None:
    """Send so many batches; the healthy viewer gets each."""
    for _ in range(count):
        sent = sender.send()
        assert await healthy.data() == sent
        check()


@pytest.mark.parametrize("outlet", OUTLETS, ids=str)
async def test_who_stalls_costs_a_queue_and_is_told_exactly_what_it_missed_and_the_others_get_all(
    mosquitto: Mosquitto, device: Peer, outlet: Outlet
) -> None:
    port, most = free_port(), 0

    def check() -> None:
        nonlocal most
        most = max(most, held_bytes(relay, outlet))

    async with relay_with(mosquitto, outlet, port) as relay:
        device.publish(topics.meta("bbb1", "ecg"), META, retain=True)
        await eventually(lambda: STREAM in relay.service._core.catalogue.streams, "the stream")
        healthy = await relay.watch(f"?stream={STREAM}")
        await healthy.told("subscribed")
        async with stalled_at(outlet, relay, port) as straggler:
            sender = Sender(device, outlet)
            count = (ENOUGH_FOR_ZMQ_BYTES if outlet.name == "zmq" else ENOUGH_BYTES) // outlet.wire_bytes
            await get_all(healthy, sender, count, check)
            assert QUEUE_BYTES // 2 < most <= QUEUE_BYTES + CHUNK_BYTES + UNSENT_BYTES + 3 * outlet.wire_bytes

            events = outlet.name == "http-events"
            end = 1 + count if events else sender.end  # the first event tells of the broker
            ledger = Ledger(0)
            while ledger.next < end:
                await straggler.read()
                ledger = Ledger(0).enter(straggler.told())
            assert ledger.exact, ledger
            assert ledger.declared > 0, "or else nothing was tested"
            assert ledger.reasons == {"slow"}

            await get_all(healthy, sender, 3, check)
            while ledger.next < (end + 3 if events else sender.end):
                await straggler.read()
                ledger = Ledger(0).enter(straggler.told())
            live = 3 if events else 3 * outlet.frames
            assert (ledger.exact, ledger.came) == (True, ledger.next - ledger.declared)
            assert list(straggler.told())[-1].reason is None, "it is live again"
            assert ledger.next - end == live


async def test_who_stalls_and_wants_to_be_sent_away_is_and_the_others_get_all(
    mosquitto: Mosquitto, device: Peer
) -> None:
    outlet = Outlet("websocket", 8192, 16_384, f"{STREAM}&policy=disconnect", "websocket", "disconnect")
    async with relay_with(mosquitto, outlet, 0) as relay:
        healthy = await relay.watch(f"?stream={STREAM}")
        await healthy.told("subscribed")
        async with stalled_at(outlet, relay, 0) as straggler:
            assert isinstance(straggler, SocketStraggler)
            sender = Sender(device, outlet)
            await get_all(healthy, sender, ENOUGH_BYTES // outlet.wire_bytes, lambda: None)
            await eventually(lambda: len(relay.service._core.clients) == 1, "the end of the other")
            await get_all(healthy, sender, 3, lambda: None)
            with pytest.raises(ConnectionError):
                await straggler.read()
            ledger = Ledger(0).enter(straggler.told())
            assert (ledger.exact, ledger.declared) == (True, 0), "what came is whole, as far as it goes"
            assert ledger.next < sender.end
            assert {opcode for opcode, _ in frames_in(bytes(straggler.data))} <= {1, 2, 8}


def test_what_is_read_is_what_the_relay_writes() -> None:
    """Or else a ledger that is exact proves nothing."""
    told = [Told(0, 10), Told(15, 20), Told(18, 30, "slow")]
    ledger = Ledger(0).enter(told)
    assert (ledger.next, ledger.came, ledger.declared, ledger.undeclared, ledger.twice) == (30, 15, 10, 5, 2)
    assert not ledger.exact
