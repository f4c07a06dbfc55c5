"""One file of a history on disk: records after one another, and, once it is full, an index of them at its end.

The file begins with `MAGIC`. A record is a head of 76 bytes and the payload; the head holds the length of the
payload, its CRC-32, and a CRC-32 of the head itself. So a reader that meets damage looks for the next head that
is sound, and a file that was cut off ends with its last sound record. The index is a record too, of its own
kind, and eight bytes after it say where it begins: opening a full file reads only that.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from gateway.relay.history.headers import HEADER, Headers, header_of
from gateway.relay.history.record import HistoryRecord

MAGIC = b"HWHIST1\n"
MARK = b"\xf5HWr"
"""Every head begins with it: no UTF-8 text holds that first byte."""
HEAD = struct.Struct("<4sIIB7q")
"""MARK, length and CRC-32 of the payload, kind, then as in HEADER: epoch … denominator."""
CHECK = struct.Struct("<I")
HEAD_BYTES = HEAD.size + CHECK.size
TRAILER = struct.Struct("<q")

BATCH, GAP, INDEX = range(3)
EMPTY_INDEX_BYTES = HEAD_BYTES + TRAILER.size

Row = tuple[Any, ...]
"""One record of HEADER."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What was found in a file without an index."""

    rows: list[Row]
    end: int
    """Where the last sound record ends."""
    damaged: int
    """Stretches before the end that hold nothing sound."""


def encode(record: HistoryRecord) -> bytes:
    """The record as it stands in a file."""
    epoch, index, count, utc_ns, last_ns, numerator, denominator, *_ = header_of(record)
    fields = (epoch, index, count, utc_ns, last_ns, numerator, denominator)
    return _head(GAP if record.is_gap else BATCH, record.payload, fields) + record.payload


def row_of(record: HistoryRecord, offset: int) -> Row:
    """Its header, if what `encode` makes begins at `offset`."""
    return header_of(record, offset + HEAD_BYTES, crc32(record.payload))


def encode_index(headers: Headers, offset: int) -> bytes:
    """The end of a full file; `offset` is where it begins."""
    payload = headers.tobytes()
    return _head(INDEX, payload, (len(headers), 0, 0, 0, 0, 0, 0)) + payload + TRAILER.pack(offset)


def index_bytes(records: int) -> int:
    """How long `encode_index` is."""
    return EMPTY_INDEX_BYTES + records * HEADER.itemsize


def read_index(path: Path) -> Headers | None:
    """The headers in a full file; None if it has no sound index. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < len(MAGIC) + EMPTY_INDEX_BYTES:
            return None
        file.seek(size - TRAILER.size)
        (offset,) = TRAILER.unpack(file.read(TRAILER.size))
        if not len(MAGIC) <= offset <= size - EMPTY_INDEX_BYTES:
            return None
        file.seek(offset)
        found = file.read(size - TRAILER.size - offset)
    head = _read_head(found, 0)
    if head is None or head[3] != INDEX or head[1] != len(found) - HEAD_BYTES:
        return None
    payload = found[HEAD_BYTES:]
    if crc32(payload) != head[2] or len(payload) % HEADER.itemsize:
        return None
    return np.frombuffer(payload, HEADER)


def scan(content: bytes) -> Scanned:
    """Everything sound in a file, whatever was done to it."""
    rows: list[Row] = []
    at = end = len(MAGIC) if content.startswith(MAGIC) else 0
    damaged, sound = 0, at > 0
    while at < len(content):
        row, after = _record_at(content, at)
        if row is not None:
            damaged += not sound
            rows.append(row)
            at = end = after
        else:
            at = after if after > at else _next_mark(content, at + 1)
        sound = row is not None
    return Scanned(rows, end, damaged)


def headers_of(rows: Sequence[Row]) -> Headers:
    """In ascending order."""
    headers = np.array(rows, HEADER)
    return headers[np.lexsort((headers["index"], headers["epoch"]))]


def _record_at(content: bytes, at: int) -> tuple[Row | None, int]:
    """The batch or gap there and where it ends; if there is none, where to go on, or `at`."""
    head = _read_head(content, at)
    if head is None:
        return None, at
    _, size, crc, kind, epoch, index, count, utc_ns, last_ns, numerator, denominator = head
    begin = at + HEAD_BYTES
    if begin + size > len(content):
        return None, at
    if kind == INDEX or crc32(memoryview(content)[begin : begin + size]) != crc:
        return None, begin + size
    row = (epoch, index, count, utc_ns, last_ns, numerator, denominator, begin, size, crc, kind == GAP)
    return row, begin + size


def _read_head(content: bytes, at: int) -> tuple[Any, ...] | None:
    if len(content) - at < HEAD_BYTES or not content.startswith(MARK, at):
        return None
    (check,) = CHECK.unpack_from(content, at + HEAD.size)
    return HEAD.unpack_from(content, at) if crc32(content[at : at + HEAD.size]) == check else None


def _next_mark(content: bytes, at: int) -> int:
    found = content.find(MARK, at)
    return len(content) if found < 0 else found


def _head(kind: int, payload: bytes, fields: Sequence[int]) -> bytes:
    head = HEAD.pack(MARK, len(payload), crc32(payload), kind, *fields)
    return head + CHECK.pack(crc32(head))
