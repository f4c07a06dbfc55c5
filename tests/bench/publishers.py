"""The messages that servers are to fan out, and who publishes them: to MQTT, to NATS, or by plain TCP."""

from __future__ import annotations

import socket
import struct
import time
from fractions import Fraction

import numpy as np
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.codec import CODECS
from gateway.model import Batch

STREAM = "bench/load"
TOPIC = "headwater/bench/stream/load/batch"
EPOCH = 1 << 33
FIRST_INDEX = 100_000
"""Indices from here on have the same length in CBOR for a long time."""

MARK = bytes.fromhex("61760161651b") + struct.pack("!Q", EPOCH)
"""How each message goes on after its first byte, whatever is around it on the wire: version and epoch."""
TIME_AT = len(MARK) + len(bytes.fromhex("61691a") + bytes(4) + bytes.fromhex("61741b"))
"""Where the time stands after the beginning of the mark: eight bytes, big-endian, ns since 1970."""


def message(number: int, frames: int) -> bytes:
    """The batch of that number, two int16 a frame, with the time of now."""
    now = time.time_ns()
    data = np.full((frames, 2), 1234, "<i2")
    batch = Batch(EPOCH, FIRST_INDEX + number * frames, now, 1 << 40, data, Fraction(1000), 100)
    return CODECS["cbor"].encode(batch)


class Publisher:
    """Sends messages of so many frames at a steady rate, numbered from 0 on."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self.count = 0
        """How many were sent."""

    def connect(self, port: int) -> None:
        """Connect to where the messages go."""
        raise NotImplementedError

    def send(self, payload: bytes) -> None:
        """Send one message."""
        raise NotImplementedError

    def close(self) -> None:
        """Disconnect."""
        raise NotImplementedError

    def send_next(self) -> None:
        """Send the next message."""
        self.send(message(self.count, self._frames))
        self.count += 1

    def run(self, rate: float, seconds: float) -> int:
        """Send messages for so long; how many."""
        count = int(rate * seconds)
        started = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            self.send_next()
        return count


class MqttPublisher(Publisher):
    """QoS 1, as a device does."""

    def connect(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(1000)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def send(self, payload: bytes) -> None:
        self._client.publish(TOPIC, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class SocketPublisher(Publisher):
    """Writes to a socket itself."""

    greeting = b""

    def connect(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self.greeting)

    def send(self, payload: bytes) -> None:
        self._socket.sendall(struct.pack("!I", len(payload)) + payload)

    def close(self) -> None:
        self._socket.close()


class NatsPublisher(SocketPublisher):
    """NATS' text protocol."""

    greeting = b'CONNECT {"verbose":false}\r\n'
    SUBJECT = "bench.load"

    def send(self, payload: bytes) -> None:
        self._socket.sendall(f"PUB {self.SUBJECT} {len(payload)}\r\n".encode() + payload + b"\r\n")
