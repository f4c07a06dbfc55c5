"""The tables of the outbox's file, and records to rows and back.

Every row carries a checksum, because SQLite has none: a row whose bytes changed on the card is found out and
not sent.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gateway.device.outbox.faults import DiskDamaged
from gateway.device.outbox.record import Record
from gateway.model import GAP_REASONS

VERSION = 1
"""`PRAGMA user_version`; a file of another version is set aside."""

SCHEMA = """
CREATE TABLE record(
    row INTEGER PRIMARY KEY, stream TEXT NOT NULL, epoch INTEGER NOT NULL, start INTEGER NOT NULL,
    count INTEGER NOT NULL, reason TEXT, codec TEXT NOT NULL, boot INTEGER NOT NULL, put_ns INTEGER NOT NULL,
    crc INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE mark(stream TEXT NOT NULL, epoch INTEGER NOT NULL, reached INTEGER NOT NULL,
    PRIMARY KEY(stream, epoch)) WITHOUT ROWID;
"""

COLUMNS = "row, stream, epoch, start, count, reason, codec, boot, put_ns, crc, payload"

INSERT = f"INSERT INTO record({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

REPLACE = f"REPLACE INTO record({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

MARKS_KEPT = 8
"""Epochs of each stream whose reach is remembered."""

LARGEST_BYTES = 64 << 20
"""A row that claims to be larger is damaged."""

Marks = dict[tuple[str, int], int]
"""How far a stream had got in an epoch, by (stream, epoch)."""


class Row(NamedTuple):
    """A record on disk."""

    row: int
    record: Record
    put_ns: int
    """CLOCK_MONOTONIC of the boot in which it was put."""
    boot: int


def boot_number() -> int:
    """A number of the running boot: CLOCK_MONOTONIC means nothing beyond it."""
    try:
        return zlib.crc32(Path("/proc/sys/kernel/random/boot_id").read_bytes())
    except OSError:
        return 0


def checksum(row: int, record: Record) -> int:
    """CRC-32 of all that matters of a row."""
    head = (row, record.stream, record.epoch, record.index, record.count, record.reason, record.codec)
    return zlib.crc32(record.payload, zlib.crc32(repr(head).encode()))


def values(row: Row) -> tuple[Any, ...]:
    """The row as COLUMNS wants it."""
    record = row.record
    return (
        row.row,
        record.stream,
        record.epoch,
        record.index,
        record.count,
        record.reason,
        record.codec,
        row.boot,
        row.put_ns,
        checksum(row.row, record),
        record.payload,
    )


TYPES = (int, str, int, int, int, str | None, str, int, int, int, bytes)
"""Of the columns."""


def row_of(columns: tuple[Any, ...]) -> Row | None:
    """The row, or None if it is not as it was written."""
    if not all(isinstance(column, kind) for column, kind in zip(columns, TYPES, strict=True)):
        return None
    row, stream, epoch, start, count, reason, codec, boot, put_ns, crc, payload = columns
    if count <= 0 or (reason is not None and reason not in GAP_REASONS):
        return None
    record = Record(stream, epoch, start, count, payload, reason, codec)
    return Row(row, record, put_ns, boot) if checksum(row, record) == crc else None


def select(connection: sqlite3.Connection, low: int, high: int) -> Iterator[Row]:
    """The rows [low, high), ascending; DiskDamaged at the first that is not as it was written."""
    for columns in connection.execute(
        f"SELECT {COLUMNS} FROM record WHERE row >= ? AND row < ? ORDER BY row", (low, high)
    ):
        row = row_of(columns)
        if row is None:
            raise DiskDamaged(f"row {columns[0]!r:.20} is not as it was written")
        yield row


def salvage(path: Path, marks: Marks) -> Iterator[Row]:
    """All sound rows of a damaged file: from the beginning to where it cannot be read on, then from the end.

    Fills `marks` with what can be read of those. Raises nothing.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None)
    except sqlite3.Error:
        return
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_BYTES)
        last = 0
        for row in _sound(connection, "ORDER BY row", ()):
            last = max(last, row.row)
            yield row
        yield from _sound(connection, "WHERE row > ? ORDER BY row DESC", (last,))
        _read_marks_into(connection, marks)
    finally:
        connection.close()


def _sound(connection: sqlite3.Connection, order: str, parameters: tuple[int, ...]) -> Iterator[Row]:
    try:
        for columns in connection.execute(f"SELECT {COLUMNS} FROM record {order}", parameters):
            row = row_of(columns)
            if row is not None:
                yield row
    except (sqlite3.Error, OverflowError, ValueError):
        return


def _read_marks_into(connection: sqlite3.Connection, marks: Marks) -> None:
    try:
        marks.update(read_marks(connection))
    except (sqlite3.Error, OverflowError, ValueError, DiskDamaged):
        return


def read_marks(connection: sqlite3.Connection) -> Marks:
    """The marks on file; DiskDamaged if one is not a mark."""
    marks: Marks = {}
    for columns in connection.execute("SELECT stream, epoch, reached FROM mark"):
        match columns:
            case (str(stream), int(epoch), int(reached)):
                marks[stream, epoch] = reached
            case _:
                raise DiskDamaged(f"{columns!r:.60} is not a mark")
    return marks


def write_marks(connection: sqlite3.Connection, marks: Marks) -> None:
    """Note the marks, which only ever grow, and forget those of long gone epochs."""
    connection.executemany(
        "INSERT INTO mark VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET reached = max(reached, excluded.reached)",
        [(stream, epoch, reached) for (stream, epoch), reached in marks.items()],
    )
    connection.executemany(
        "DELETE FROM mark WHERE stream = ? AND epoch NOT IN "
        f"(SELECT epoch FROM mark WHERE stream = ? ORDER BY epoch DESC LIMIT {MARKS_KEPT})",
        [(stream, stream) for stream in {stream for stream, _ in marks}],
    )


def prepare(connection: sqlite3.Connection, pragmas: Iterable[str]) -> None:
    """Set the pragmas and make the tables if there are none; DiskDamaged for a file of another version."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_BYTES)
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        raise DiskDamaged(f"the outbox is of version {version}, not {VERSION}")
