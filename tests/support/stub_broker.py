"""A broker's side of MQTT, as far as a test needs it to misbehave: mute, strict, or slow to acknowledge."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from tests.support.ports import free_port

Manner = Literal["answer", "mute", "hang up"]

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14
"""MQTT 5, section 2.1.2."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A PUBLISH that came."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int


class StubBroker:
    """Listens on one port of 127.0.0.1; acknowledges only when it is told to."""

    def __init__(
        self,
        manner: Manner = "answer",
        receive_maximum: int = 65_535,
        protocols: tuple[int, ...] = (4, 5),
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.manner: Manner = manner
        self.receive_maximum = receive_maximum
        self.protocols = protocols
        """The levels that it speaks: 4 is MQTT 3.1.1, 5 is MQTT 5."""
        self.connects: list[int] = []
        """The level of each CONNECT."""
        self.said_goodbye = 0
        """How many clients sent a DISCONNECT."""
        self.published: list[Publication] = []
        self._unacknowledged: list[tuple[socket.socket, Publication]] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """Where it is, as Headwater's configuration has it."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def unacknowledged(self) -> int:
        """How many QoS 1 messages came that it did not acknowledge."""
        return len(self._unacknowledged)

    def acknowledge(self, count: int = 1) -> None:
        """Acknowledge the oldest."""
        for _ in range(count):
            connection, publication = self._unacknowledged.pop(0)
            connection.sendall(_packet(PUBACK, struct.pack("!H", publication.packet_id)))

    def hang_up(self) -> None:
        """Close all connections without a word."""
        self._unacknowledged.clear()
        while self._connections:
            _close(self._connections.pop())

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close(self._listener)
        self.hang_up()
        self._accepting.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for kind, flags, body in _packets(connection):
                self._take(connection, kind, flags, body)

    def _take(self, connection: socket.socket, kind: int, flags: int, body: bytes) -> None:
        level = self.connects[-1] if self.connects else 0
        if kind == CONNECT:
            self._take_connect(connection, body[6])
        elif kind == PUBLISH:
            self._take_publish(connection, _publication(flags, body, level))
        elif kind == SUBSCRIBE:
            properties = b"\0" if level == 5 else b""
            connection.sendall(_packet(SUBACK, body[:2] + properties + b"\1"))
        elif kind == DISCONNECT:
            self.said_goodbye += 1

    def _take_connect(self, connection: socket.socket, level: int) -> None:
        self.connects.append(level)
        if self.manner == "hang up":
            _close(connection)
        if self.manner != "answer":
            return
        if level not in self.protocols:
            connection.sendall(_packet(CONNACK, b"\0\1"))
            _close(connection)
        elif level == 5:
            connection.sendall(_packet(CONNACK, b"\0\0\3\x21" + struct.pack("!H", self.receive_maximum)))
        else:
            connection.sendall(_packet(CONNACK, b"\0\0"))

    def _take_publish(self, connection: socket.socket, publication: Publication) -> None:
        if publication.qos:
            self._unacknowledged.append((connection, publication))
        self.published.append(publication)


def _publication(flags: int, body: bytes, level: int) -> Publication:
    qos = flags >> 1 & 3
    (size,) = struct.unpack_from("!H", body)
    place = 2 + size
    packet_id = struct.unpack_from("!H", body, place)[0] if qos else 0
    place += 2 if qos else 0
    if level == 5:
        place += 1 + body[place]  # properties shorter than 128 bytes
    return Publication(body[2 : 2 + size].decode(), body[place:], qos, bool(flags & 1), packet_id)


def _packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([kind << 4, len(body)]) + body


def _packets(connection: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each packet, until the connection ends."""
    stream = connection.makefile("rb")
    while first := stream.read(1):
        length, shift = 0, 0
        while True:
            (digit,) = stream.read(1)
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                break
        yield first[0] >> 4, first[0] & 15, stream.read(length)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
