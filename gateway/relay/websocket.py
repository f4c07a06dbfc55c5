"""The server's side of the WebSocket protocol (RFC 6455). Pure: bytes in, messages out.

No extensions and no subprotocols: samples do not compress well enough to pay for it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""
CONTROL_BYTES = 125
"""The longest control frame: section 5.5."""
FRAGMENTS = 1000
"""How many frames a message may come in."""
MASKED = 0x80
FINAL = 0x80


class Opcode(IntEnum):
    """Section 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Close(IntEnum):
    """Status codes of a close: section 7.4.1, the IANA registry, and from 4000 on Headwater's own."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    BAD_TEXT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    SERVICE_RESTART = 1012
    TRY_AGAIN = 1013
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    TIMEOUT = 4408
    SLOW = 4429


class WebSocketError(Exception):
    """The client broke the protocol, and the code that it is told."""

    def __init__(self, code: Close, message: str) -> None:
        super().__init__(message)
        self.code = code


class HandshakeError(Exception):
    """The request is no WebSocket handshake; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A whole message or a control frame from the client."""

    opcode: Opcode
    payload: bytes


def accept_key(headers: Mapping[str, str]) -> str:
    """The `Sec-WebSocket-Accept` for a request's headers (any case); raises HandshakeError."""
    upgrade = headers.get("Upgrade", "").strip().lower()
    connection = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    if upgrade != "websocket" or "upgrade" not in connection:
        raise HandshakeError("this is a WebSocket: send 'Connection: Upgrade' and 'Upgrade: websocket'")
    if headers.get("Sec-WebSocket-Version", "").strip() != "13":
        raise HandshakeError("Sec-WebSocket-Version must be 13")
    key = headers.get("Sec-WebSocket-Key", "").strip()
    try:
        whole = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        whole = False
    if not whole:
        raise HandshakeError("Sec-WebSocket-Key must be 16 bytes in base64")
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """One whole, unmasked frame."""
    first, size = FINAL | opcode, len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def text_frame(content: Mapping[str, Any]) -> bytes:
    """The object as JSON in one text frame."""
    return frame(Opcode.TEXT, json.dumps(content, separators=(",", ":")).encode())


def close_frame(code: Close, reason: str) -> bytes:
    """A close with its code and reason."""
    return frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()[: CONTROL_BYTES - 2])


class FrameReader:
    """Puts the client's bytes together to messages; holds no more than one message's limit, and a frame's head."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._fragments = bytearray()
        self._count = 0
        """Of fragments."""
        self._opcode: Opcode | None = None

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """The messages that are whole now; raises WebSocketError, after which nothing may be fed any more."""
        self._buffer += data
        while True:
            parsed = self._frame()
            if parsed is None:
                return
            final, opcode, payload = parsed
            if opcode >= Opcode.CLOSE:
                yield Incoming(opcode, payload)
                continue
            message = self._collect(final, opcode, payload)
            if message is not None:
                yield message

    def _frame(self) -> tuple[bool, Opcode, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        final, opcode, size = self._head(buffer[0], buffer[1])
        start = 2
        if size >= 126:
            start += 2 if size == 126 else 8
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if size + len(self._fragments) > self._limit:
            raise WebSocketError(Close.TOO_BIG, f"a message may have {self._limit} bytes")
        if len(buffer) < start + 4 + size:
            return None
        mask = bytes(buffer[start : start + 4])
        payload = _unmask(bytes(buffer[start + 4 : start + 4 + size]), mask)
        del buffer[: start + 4 + size]
        return final, opcode, payload

    @staticmethod
    def _head(first: int, second: int) -> tuple[bool, Opcode, int]:
        if first & 0x70:
            raise WebSocketError(Close.PROTOCOL_ERROR, "no extension was agreed on")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise WebSocketError(Close.PROTOCOL_ERROR, f"opcode {first & 0x0F} is not known") from None
        if not second & MASKED:
            raise WebSocketError(Close.PROTOCOL_ERROR, "a client must mask its frames")
        final, size = bool(first & FINAL), second & 0x7F
        if opcode >= Opcode.CLOSE and (not final or size > CONTROL_BYTES):
            raise WebSocketError(Close.PROTOCOL_ERROR, "a control frame is whole and has at most 125 bytes")
        return final, opcode, size

    def _collect(self, final: bool, opcode: Opcode, payload: bytes) -> Incoming | None:
        if (opcode is Opcode.CONTINUATION) != (self._opcode is not None):
            raise WebSocketError(Close.PROTOCOL_ERROR, "fragments are out of order")
        if self._opcode is None:
            self._opcode = opcode
        self._fragments += payload
        self._count += 1
        if self._count > FRAGMENTS:
            raise WebSocketError(Close.TOO_BIG, f"a message may have {FRAGMENTS} frames")
        if not final:
            return None
        message = Incoming(self._opcode, bytes(self._fragments))
        self._fragments, self._count, self._opcode = bytearray(), 0, None
        return message


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """Section 5.3, for the whole payload at once."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
