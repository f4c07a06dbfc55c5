"""paho's client, with a short way for what comes most: a message with QoS 0 or 1.

paho reads a message with four system calls and takes it apart by way of a dozen objects: most of what a
message cost the relay. Here the socket is read in large pieces, a PUBLISH (MQTT 3.1.1 and 5, section 3.3) is taken
apart on the spot, and all that were read together are acknowledged with one call. Every other packet is paho's.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho

PIECE_BYTES = 16 << 10
"""How much is read at a time, before others have their turn."""
PUBLISH = 3
PUBACK = 0x40
HEAD_BYTES = 5
"""The longest fixed header: section 2."""


class LoopClient(paho.Client):
    """Give what the socket has to `receive`, and not to `loop_read`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.take: Callable[[str, bytes, bool], None] = lambda _, __, ___: None
        """Gets topic, payload and whether the message was retained; must not raise."""
        self._rest = bytearray()
        """The beginning of a packet that is not whole yet."""
        self._wanted = 0
        """So many bytes are needed before it makes sense to look at the rest again."""
        self._for_paho = b""
        self._at_end = False

    def receive(self) -> None:
        """Take a piece of what the socket has ready."""
        connected = self.socket()
        if connected is None:
            return
        try:
            piece = connected.recv(PIECE_BYTES)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            piece = b""
        if not piece:
            self._at_end = True  # paho finds the same, and knows what follows from it
            self.loop_read()
            return
        self._last_bytes_received = time.monotonic()  # or else paho pings, and waits behind what is still to come
        if not self._rest:
            self._keep(piece, self._take_packets(piece))
            return
        self._rest += piece
        if len(self._rest) >= self._wanted:
            piece = bytes(self._rest)
            self._keep(piece, self._take_packets(piece))

    def _take_packets(self, data: bytes) -> int:
        """Take whole packets; where the first begins that is not whole."""
        start, acks = 0, b""
        while (body := body_of(data, start)) is not None and body[1] <= len(data):
            message = message_in(data, start, *body, modern=self.protocol == paho.MQTTv5)
            if message is not None:
                topic, payload, ack = message
                self.take(topic, payload, bool(data[start] & 1))
                acks += ack
            else:
                self._for_paho = data[start : body[1]]
                self.loop_read()
            start = body[1]
            if self.socket() is None:
                return len(data)
        if acks:
            self._acknowledge(acks)
        return start

    def _acknowledge(self, acks: bytes) -> None:
        """Past paho's queue, as long as nothing waits there."""
        connected, sent = self.socket(), 0
        if connected is not None and not self.want_write():
            with contextlib.suppress(OSError):  # full, or gone: paho knows what follows from it
                sent = connected.send(acks)
        if sent < len(acks):
            self._packet_queue(PUBACK, acks[sent:], 0, 1)

    def _keep(self, data: bytes, start: int) -> None:
        self._rest = bytearray(data[start:])
        body = body_of(data, start)
        self._wanted = 0 if body is None else body[1] - start

    def _sock_recv(self, bufsize: int) -> bytes:
        """paho reads what was given to it, and the socket itself only to find that it is at its end."""
        if self._at_end:
            return super()._sock_recv(bufsize)
        if not self._for_paho:
            raise BlockingIOError
        piece, self._for_paho = self._for_paho[:bufsize], self._for_paho[bufsize:]
        return piece


def body_of(data: bytes, start: int) -> tuple[int, int] | None:
    """Where the body of the packet at `start` begins and ends; None if its head is not whole yet."""
    size, shift, at = 0, 0, start + 1
    while at < len(data):
        byte = data[at]
        at += 1
        if at - start > HEAD_BYTES:
            return at, at  # nothing has so long a head; paho refuses it
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return at, at + size
        shift += 7
    return None


def message_in(data: bytes, start: int, at: int, end: int, *, modern: bool) -> tuple[str, bytes, bytes] | None:
    """Topic, payload and acknowledgement of the packet at `start`; None if it is no message or not well-formed.

    Its body is from `at` to `end`; `modern` is MQTT 5, whose properties are passed over.
    """
    qos = (data[start] & 6) >> 1
    if data[start] >> 4 != PUBLISH or qos > 1 or at + 2 > end:
        return None
    name, at = at + 2, at + 2 + int.from_bytes(data[at : at + 2], "big")
    topic, ack = data[name:at], b""
    if qos:
        ack = b"\x40\x02" + data[at : at + 2]
        at += 2
    if modern:
        properties = body_of(data, at - 1)  # a length in the same form
        at = end + 1 if properties is None else properties[1]
    if at > end:
        return None
    return topic.decode(errors="replace"), data[at:end], ack
