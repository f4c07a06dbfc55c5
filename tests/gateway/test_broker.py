"""The embedded broker, spoken to by paho alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.broker import EmbeddedBroker, check_port
from gateway.errors import ListenError
from tests.support.ports import accepts, free_port
from tests.support.waiting import eventually


class Client:
    """One client of MQTT 3.1.1, and what it heard."""

    def __init__(self, port: int, will: tuple[str, bytes] | None = None) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.subscribed = 0
        self.acknowledged = 0
        self._paho = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._paho.on_message = lambda _, __, m: self.heard.append((m.topic, bytes(m.payload), m.retain))
        self._paho.on_subscribe = self._on_subscribe
        self._paho.on_publish = self._on_publish
        if will is not None:
            self._paho.will_set(will[0], will[1], qos=1, retain=True)
        self._port = port

    async def open(self) -> None:
        await asyncio.to_thread(self._paho.connect, "127.0.0.1", self._port)
        self._paho.loop_start()
        await eventually(self._paho.is_connected, "the connection")

    async def subscribe(self, topic: str) -> None:
        wanted = self.subscribed + 1
        self._paho.subscribe(topic, qos=1)
        await eventually(lambda: self.subscribed == wanted, "the subscription")

    async def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        wanted = self.acknowledged + 1
        self._paho.publish(topic, payload, qos=1, retain=retain)
        await eventually(lambda: self.acknowledged == wanted, "the acknowledgement")

    async def close(self) -> None:
        self._paho.disconnect()
        await asyncio.to_thread(self._paho.loop_stop)

    def vanish(self) -> None:
        """Close the connection without a word."""
        connection = self._paho.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)

    def _on_subscribe(self, *_: Any) -> None:
        self.subscribed += 1

    def _on_publish(self, *_: Any) -> None:
        self.acknowledged += 1


Connect = Callable[..., Any]


@asynccontextmanager
async def broker_and_clients() -> AsyncIterator[Connect]:
    clients: list[Client] = []
    port = free_port()

    async def connect(will: tuple[str, bytes] | None = None) -> Client:
        client = Client(port, will)
        await client.open()
        clients.append(client)
        return client

    async with EmbeddedBroker(port=port):
        yield connect
        for client in clients:
            await client.close()


async def test_messages_reach_every_subscriber_in_order() -> None:
    async with broker_and_clients() as connect:
        readers = [await connect() for _ in range(3)]
        for reader in readers:
            await reader.subscribe("t/+")
        writer = await connect()
        for number in range(50):
            await writer.publish("t/x", b"%d" % number)
        for reader in readers:
            await eventually(lambda reader=reader: len(reader.heard) == 50, "all messages")  # type: ignore[misc]
            assert [payload for _, payload, _ in reader.heard] == [b"%d" % number for number in range(50)]


async def test_what_is_retained_comes_to_those_who_subscribe_later() -> None:
    async with broker_and_clients() as connect:
        writer = await connect()
        await writer.publish("t/kept", b"old", retain=True)
        await writer.publish("t/kept", b"new", retain=True)
        reader = await connect()
        await reader.subscribe("t/#")
        await eventually(lambda: reader.heard, "the retained message")
        assert reader.heard == [("t/kept", b"new", True)]


async def test_who_connects_is_not_sent_what_others_subscribed_to() -> None:
    async with broker_and_clients() as connect:
        writer = await connect()
        await writer.publish("t/kept", b"old", retain=True)
        await (await connect()).subscribe("t/#")
        stranger = await connect()
        await stranger.subscribe("u/#")
        await writer.publish("u/end", b"end")
        await eventually(lambda: stranger.heard, "the end")
        assert [topic for topic, _, _ in stranger.heard] == ["u/end"]


async def test_the_will_of_one_who_vanished_is_published() -> None:
    async with broker_and_clients() as connect:
        reader = await connect()
        await reader.subscribe("t/status")
        mortal = await connect(("t/status", b"lost"))
        mortal.vanish()
        await eventually(lambda: reader.heard, "the will")
        assert reader.heard[0][:2] == ("t/status", b"lost")


async def test_a_port_that_is_taken_is_named_with_the_option_that_chooses_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expected = f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another with"
        with pytest.raises(ListenError) as caught:
            async with EmbeddedBroker(port=port):
                pass
        assert str(caught.value) == f"{expected} --mqtt-port"


def test_a_port_is_checked_on_either_family() -> None:
    port = free_port()
    check_port("127.0.0.1", port, "--port")
    check_port("::1", port, "--port")
    with socket.create_server(("::1", port), family=socket.AF_INET6), pytest.raises(ListenError, match="--port"):
        check_port("::1", port, "--port")


async def test_after_its_end_the_port_is_free_again() -> None:
    port = free_port()
    for _ in range(3):
        async with EmbeddedBroker(port=port):
            assert await asyncio.to_thread(accepts, port)
        assert not await asyncio.to_thread(accepts, port)
        check_port("127.0.0.1", port, "--port")
