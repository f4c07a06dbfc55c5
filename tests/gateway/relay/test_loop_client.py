"""What the broker sends, however the network cuts it: paho's own client is what it is measured by."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.relay.loop_client import LoopClient

Message = tuple[str, bytes, bool]

PINGRESP = b"\xd0\x00"
PROTOCOLS = (MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5)


@dataclass
class Wire:
    """A socket whose other end is the test."""

    pieces: list[bytes] = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)
    ended: bool = False
    closed: bool = False

    def recv(self, size: int) -> bytes:
        if self.ended and not self.pieces:
            return b""
        if not self.pieces:
            raise BlockingIOError
        piece, rest = self.pieces[0][:size], self.pieces[0][size:]
        self.pieces[:1] = [rest] if rest else []
        return piece

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def close(self) -> None:
        self.closed = True

    def fileno(self) -> int:
        return -1


@dataclass
class Yard:
    """A client at its wire, and what came of it."""

    protocol: MQTTProtocolVersion
    wire: Wire = field(default_factory=Wire)
    came: list[Message] = field(default_factory=list)
    lost: int = 0

    def __post_init__(self) -> None:
        self.client = LoopClient(CallbackAPIVersion.VERSION2, protocol=self.protocol)
        self._join(self.client)
        self.client.take = lambda *message: self.came.append(message)

    def _join(self, client: paho.Client) -> None:
        client._sock = self.wire  # type: ignore[assignment]
        client.on_message = lambda _, __, message: self.came.append(
            (message.topic, bytes(message.payload), message.retain)
        )
        client.on_disconnect = self._on_disconnect

    def _on_disconnect(self, *_: Any) -> None:
        self.lost += 1

    def hear(self, data: bytes, cut: int = 1 << 20) -> None:
        """Let the client read the bytes in pieces."""
        self.wire.pieces = [data[start : start + cut] for start in range(0, len(data), cut)]
        while self.wire.pieces and not self.lost:
            self.client.receive()


def publish(
    topic: bytes,
    payload: bytes,
    *,
    number: int = 0,
    retain: bool = False,
    modern: bool = False,
    properties: bytes = b"",
    qos: int | None = None,
) -> bytes:
    """A PUBLISH; with QoS 1 if it has a number."""
    qos = qos if qos is not None else int(number > 0)
    body = struct.pack("!H", len(topic)) + topic + (struct.pack("!H", number) if qos else b"")
    body += (length(len(properties)) + properties if modern else b"") + payload
    return bytes([0x30 | qos << 1 | retain]) + length(len(body)) + body


def length(value: int) -> bytes:
    """A variable byte integer: MQTT 5, section 1.5.5."""
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def puback(*numbers: int) -> bytes:
    return b"".join(b"\x40\x02" + struct.pack("!H", number) for number in numbers)


PROPERTIES = b"\x03" + struct.pack("!H", 16) + b"application/cbor" + b"\x26\x00\x01a" + b"\x00\x82" + b"x" * 130
"""Content type and a user property of 130 bytes, so that their length takes two bytes."""

messages = st.lists(
    st.tuples(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        st.one_of(st.binary(max_size=300), st.sampled_from([20_000, 2_100_000]).map(bytes)),
        st.integers(0, 65_535),
        st.booleans(),
        st.sampled_from([b"", PROPERTIES]),
    ),
    max_size=6,
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(sent=messages, cut=st.one_of(st.integers(1, 40).map(lambda cut: cut * cut), st.just(1 << 20)))
def test_messages_come_whole_and_are_acknowledged_however_they_were_cut(
    protocol: MQTTProtocolVersion, sent: list[tuple[str, bytes, int, bool, bytes]], cut: int
) -> None:
    yard = Yard(protocol)
    modern = protocol == MQTTProtocolVersion.MQTTv5
    data = b"".join(
        publish(topic.encode(), payload, number=number, retain=retain, modern=modern, properties=properties)
        for topic, payload, number, retain, properties in sent
    )
    yard.hear(data, max(cut, len(data) // 200))
    assert yard.came == [(topic, payload, retain) for topic, payload, _, retain, _ in sent]
    assert yard.wire.sent == puback(*(number for _, _, number, _, _ in sent if number))
    assert not yard.lost


def test_what_was_read_together_is_acknowledged_with_one_call() -> None:
    yard = Yard(MQTTProtocolVersion.MQTTv311)
    calls: list[bytes] = []
    send: Callable[[bytes], int] = yard.wire.send
    yard.wire.send = lambda data: calls.append(bytes(data)) or send(data)  # type: ignore[method-assign, func-returns-value]
    yard.hear(b"".join(publish(b"a/b", b"x", number=number) for number in (1, 2, 3)))
    assert calls == [puback(1, 2, 3)]


@pytest.mark.parametrize("room", [0, 1, 5, 8])
def test_a_broker_that_takes_no_acknowledgement_now_gets_all_of_it_later(room: int) -> None:
    yard = Yard(MQTTProtocolVersion.MQTTv311)
    whole: Callable[[bytes], int] = yard.wire.send

    def send(data: bytes) -> int:
        nonlocal room
        if not room:
            raise BlockingIOError
        taken, room = min(room, len(data)), 0
        return whole(data[:taken])

    yard.wire.send = send  # type: ignore[method-assign]
    yard.hear(publish(b"a/b", b"x", number=1) + publish(b"a/b", b"x", number=2))
    yard.hear(publish(b"a/b", b"x", number=3))
    assert len(yard.came) == 3
    assert not yard.lost
    yard.wire.send = whole  # type: ignore[assignment, method-assign]
    yard.client.loop_write()
    assert yard.wire.sent == puback(1, 2, 3)


@pytest.mark.parametrize("cut", [1, 2, 3, 1000])
def test_everything_else_is_left_to_paho(cut: int) -> None:
    yard = Yard(MQTTProtocolVersion.MQTTv311)
    yard.client._ping_t = 1.0
    twice = publish(b"a/b", b"exactly once", number=7, qos=2)
    yard.hear(publish(b"a/b", b"1", number=5) + PINGRESP + twice + publish(b"a/b", b"2", number=6), cut)
    assert yard.client._ping_t == 0
    assert [payload for _, payload, _ in yard.came] == [b"1", b"2"]
    assert b"\x50\x02\x00\x07" in yard.wire.sent, "PUBREC: MQTT 3.1.1, section 3.5"
    yard.hear(b"\x62\x02\x00\x07", cut)
    assert yard.came[-1] == ("a/b", b"exactly once", False)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x32\xff\xff\xff\xff\xff\x01",
        b"\x30" + b"\xff" * 50,
        b"\x32\x01\x00",
        b"\x32\x04\x00\x09ab",
        b"\x32\x03\x00\x01a",
        b"\x36\x05\x00\x01a\x00\x01",
        b"\xf0\x00",
        b"\x00\x00",
        b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10,
    ],
)
def test_a_broker_that_speaks_nonsense_is_left(nonsense: bytes) -> None:
    yard = Yard(MQTTProtocolVersion.MQTTv311)
    yard.hear(publish(b"a/b", b"1") + nonsense)
    assert (yard.came, yard.lost, yard.wire.closed) == ([("a/b", b"1", False)], 1, True)


def test_properties_that_go_past_the_end_are_nonsense_too() -> None:
    yard = Yard(MQTTProtocolVersion.MQTTv5)
    yard.hear(b"\x30\x06\x00\x01a\x7fxx")
    assert (yard.came, yard.lost) == ([], 1)


def test_a_connection_that_ends_within_a_packet_is_noticed() -> None:
    yard = Yard(MQTTProtocolVersion.MQTTv311)
    yard.hear(publish(b"a/b", b"whole") + publish(b"a/b", b"half")[:-2])
    assert not yard.lost
    yard.wire.ended = True
    yard.client.receive()
    assert (len(yard.came), yard.lost, yard.wire.closed) == (1, 1, True)


def test_a_topic_that_is_no_text_arrives_and_can_be_shown() -> None:
    yard = Yard(MQTTProtocolVersion.MQTTv311)
    yard.hear(publish(b"a/\xff", b"x"))
    assert yard.came == [("a/\ufffd", b"x", False)]
