"""A subscriber with a small receive buffer that reads nothing until it is told to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Protocol

import zmq

from tests.bench.greetings import FLAVOURS
from tests.support.wires import READINGS, Told, mflow

RECEIVE_BYTES = 8 << 10
MOST_BYTES = 1 << 30


class Straggler(Protocol):
    """One that stalls."""

    cut_off: bool
    """Whether the server ended the connection."""

    def read(self, seconds: float) -> None:
        """Read all that comes for so long."""

    def told(self) -> Iterator[Told]:
        """What it was told."""

    def close(self) -> None:
        """Leave."""


class SocketStraggler:
    """A client on a TCP connection; `reading` is a key of READINGS."""

    def __init__(self, flavour: str, port: int, topic: str, reading: str) -> None:
        self._reading = READINGS[reading]
        self._parts: list[bytes] = []
        self.cut_off = False
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self._socket.connect(("127.0.0.1", port))
        FLAVOURS[flavour].greet(self._socket, topic)

    def read(self, seconds: float) -> None:
        end, size = time.monotonic() + seconds, 0
        self._socket.settimeout(0.2)
        while time.monotonic() < end and size < MOST_BYTES:
            try:
                part = self._socket.recv(1 << 20)
            except TimeoutError:
                continue
            except OSError:
                part = b""
            if not part:
                self.cut_off = True
                return
            self._parts.append(part)
            size += len(part)

    def told(self) -> Iterator[Told]:
        return self._reading(b"".join(self._parts))

    def close(self) -> None:
        self._socket.close()


class ZmqStraggler:
    """A PULL socket."""

    def __init__(self, address: str) -> None:
        self._messages: list[list[bytes]] = []
        self.cut_off = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVBUF, RECEIVE_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, 1)
        self._socket.connect(address)

    def read(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._socket.poll(200):
                self._messages.append(self._socket.recv_multipart())

    def told(self) -> Iterator[Told]:
        return mflow(self._messages)

    def close(self) -> None:
        self._context.destroy(0)
