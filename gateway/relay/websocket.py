"""Server-side WebSocket frames (RFC 6455, section 5.2): never masked, never fragmented."""

from __future__ import annotations

import json
import struct
from typing import Any

_TEXT = 0x81
_BINARY = 0x82
"""FIN and the opcode."""


def binary_frame(payload: bytes) -> bytes:
    """The payload as one binary frame."""
    return _frame(_BINARY, payload)


def text_frame(content: dict[str, Any]) -> bytes:
    """The object as JSON in one text frame."""
    return _frame(_TEXT, json.dumps(content, separators=(",", ":")).encode())


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload
