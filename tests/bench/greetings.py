"""What a client says until the stream comes, for each way in which servers talk; none of it is a library's."""

from __future__ import annotations

import base64
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flavour:
    """One way to talk."""

    greet: Callable[[socket.socket, str], None]
    """Subscribe to a topic; the socket blocks, and nothing of the stream is read."""
    alive: bytes = b""
    """To be sent now and then, so that the server knows that the client is there."""


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
        head += _one(client)
    if b" 101 " not in head:
        raise RuntimeError(head.decode())


def _http(client: socket.socket, path: str) -> None:
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())


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
        client.sendall(masked(2, packet))
        time.sleep(0.005)


def _nats(client: socket.socket, topic: str) -> None:
    while not client.recv(4096).endswith(b"\r\n"):
        pass
    client.sendall(_nats_lines(topic))


def _nats_websocket(client: socket.socket, topic: str) -> None:
    _upgrade(client, "/", "")
    client.sendall(masked(2, _nats_lines(topic)))


def _nats_lines(topic: str) -> bytes:
    return f'CONNECT {{"verbose":false}}\r\nSUB {topic} 1\r\n'.encode()


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame of at most 125 bytes, with a mask of zeros: RFC 6455, section 5.2."""
    return struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload)) + bytes(4) + payload


def _one(client: socket.socket) -> bytes:
    """One byte, so that nothing of what follows is taken."""
    byte = client.recv(1)
    if not byte:
        raise RuntimeError("the server closed the connection")
    return byte


def answer_to(data: bytes) -> bytes:
    """The pong to a WebSocket ping of four bytes, if there may be one in the data."""
    at = data.find(b"\x89\x04")
    return masked(PONG, data[at + 2 : at + 6]) if at >= 0 else b""


PONG = 10
FLAVOURS = {
    "websocket": Flavour(_websocket, masked(PONG, b"")),
    "http": Flavour(_http),
    "tcp": Flavour(lambda _, __: None),
    "mqtt": Flavour(_mqtt),
    "mqtt-websocket": Flavour(_mqtt_websocket, masked(PONG, b"")),
    "nats": Flavour(_nats, b"PONG\r\n"),
    "nats-websocket": Flavour(_nats_websocket, masked(2, b"PONG\r\n")),
}
