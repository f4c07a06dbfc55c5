"""`python -m tests.bench.readers FLAVOUR PORT TOPIC COUNT`: many clients in one process, none of them a library.

Every message of a benchmark has the same length on the wire, so a client only counts bytes and looks at the time
in each message's `t`. Prints `ready` when all are subscribed, and on a line on standard input a JSON object:
deliveries and latencies.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

SETTLE_S = 0.5
KEPT_LATENCIES = 200_000


@dataclass(frozen=True, slots=True)
class Flavour:
    """What a client says first, and what stands before and after a payload on the wire."""

    greet: Callable[[socket.socket, str], None]
    before: Callable[[str, int], int]
    after: int = 0
    aside: bytes = b""
    """What the server says in between, which is no message."""


def _websocket(client: socket.socket, topic: str) -> None:
    _upgrade(client, f"/api/v1/live?stream={topic}", "")


def _upgrade(client: socket.socket, path: str, extra: str) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    if b" 101 " not in head:
        raise RuntimeError(head.decode())


def _mqtt(client: socket.socket, topic: str) -> None:
    connect, subscribe = _mqtt_packets(topic)
    client.sendall(connect)
    client.recv(4)
    client.sendall(subscribe)


def _mqtt_packets(topic: str) -> tuple[bytes, bytes]:
    identity = os.urandom(8).hex().encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(identity)) + identity
    wanted = b"\x00\x01" + struct.pack("!H", len(topic)) + topic.encode() + b"\x00"
    return b"\x10" + bytes([len(body)]) + body, b"\x82" + bytes([len(wanted)]) + wanted


def _mqtt_websocket(client: socket.socket, topic: str) -> None:
    _upgrade(client, "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")
    for packet in _mqtt_packets(topic):
        client.sendall(struct.pack("!BB", 0x82, 0x80 | len(packet)) + bytes(4) + packet)
        time.sleep(0.005)


def _nats(client: socket.socket, topic: str) -> None:
    client.recv(4096)
    client.sendall(f'CONNECT {{"verbose":false}}\r\nSUB {topic} 1\r\n'.encode())


def _mqtt_before(topic: str, size: int) -> int:
    return 1 + 2 + 2 + len(topic)


FLAVOURS = {
    "websocket": Flavour(_websocket, lambda _, __: 4),
    "mqtt": Flavour(_mqtt, _mqtt_before),
    "mqtt-websocket": Flavour(_mqtt_websocket, lambda topic, size: 4 + _mqtt_before(topic, size)),
    "nats": Flavour(_nats, lambda topic, size: len(f"MSG {topic} 1 {size}\r\n"), 2, b"PING\r\n"),
}


class Clients:
    """All connections, and what came over them since they were ready."""

    def __init__(self, flavour: Flavour, port: int, topic: str, count: int, size: int, time_at: int) -> None:
        self._before = flavour.before(topic, size)
        self._whole = self._before + size + flavour.after
        self._time_at = self._before + time_at
        self._aside = flavour.aside
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        self.deliveries = 0
        self.latencies: list[int] = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            flavour.greet(client, topic)
            client.setblocking(False)
            self._sockets[client.fileno()] = client
            self._rest[client.fileno()] = b""
            self._poll.register(client.fileno(), select.EPOLLIN)

    def settle(self) -> None:
        """Throw away what the server says before the first message."""
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            for handle, _ in self._poll.poll(0.1):
                self._sockets[handle].recv(1 << 16)

    def run(self) -> None:
        """Count until standard input says something."""
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)
        while True:
            for handle, _ in self._poll.poll():
                if handle == sys.stdin.fileno():
                    return
                self._read(handle)

    def _read(self, handle: int) -> None:
        try:
            data = self._rest[handle] + self._sockets[handle].recv(1 << 20)
        except BlockingIOError:
            return
        if self._aside and self._aside in data:
            data = data.replace(self._aside, b"")
        now = time.time_ns()
        whole, position = self._whole, 0
        while len(data) - position >= whole:
            (sent,) = struct.unpack_from("!Q", data, position + self._time_at)
            self.latencies.append(now - sent)
            position += whole
        self.deliveries += position // whole
        self._rest[handle] = data[position:]


def main() -> None:
    """Connect, count, report."""
    flavour, port, topic, count, size, time_at = sys.argv[1:]
    clients = Clients(FLAVOURS[flavour], int(port), topic, int(count), int(size), int(time_at))
    clients.settle()
    print("ready", flush=True)
    clients.run()
    ordered = sorted(clients.latencies) or [0]
    print(
        json.dumps(
            {
                "deliveries": clients.deliveries,
                "p50_ms": ordered[len(ordered) // 2] / 1e6,
                "p99_ms": ordered[len(ordered) * 99 // 100] / 1e6,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
