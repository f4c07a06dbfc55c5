"""The outbox's file: SQLite with a write-ahead log. Only the outbox's own thread comes here.

See https://www.sqlite.org/wal.html and https://www.sqlite.org/pragma.html. Every method raises DiskDamaged or
DiskUnusable, and no other error.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from gateway.account import IntervalSet, Range
from gateway.device.outbox import rows
from gateway.device.outbox.drop import Run, Span, plan
from gateway.device.outbox.faults import DiskDamaged, DiskUnusable, translated
from gateway.device.outbox.memory import Entry
from gateway.device.outbox.record import RECORD_OVERHEAD, EncodeGap, gap_record
from gateway.device.outbox.rows import Marks, Row

PAGE_BYTES = 2048
"""Small, because each commit writes the last page again: a third less wear than with 4096."""
CACHE_KIB = 1024
LOG_PAGES = 1000
"""The write-ahead log is moved into the file when it has so many pages; fewer if the outbox is small."""

VACUUM_PAGES = 256
"""The file is not shrunk for fewer unused pages than this."""

SHRINK_PAGES = 4096
"""And for so many at a time, because pages may have to be moved for it."""

FIXED_PAGES = 16
"""Pages that are there however few the records are."""

SALVAGE_ROWS = 100
"""Rows in one transaction when another file is taken over."""


@dataclass(slots=True)
class Contents:
    """What the rows of a file are, without their payloads."""

    rows: IntervalSet = field(default_factory=IntervalSet)
    holdings: dict[tuple[str, int], IntervalSet] = field(default_factory=dict)
    """The indices that are there, by stream and epoch."""
    batch_bytes: int = 0
    gap_bytes: int = 0
    marks: Marks = field(default_factory=dict)

    def take(self, row: Row) -> bool:
        """Count a row; False, and not counted, if another one has some of its frames."""
        record = row.record
        held = self.holdings.setdefault((record.stream, record.epoch), IntervalSet())
        if held.overlap(record.index, record.end):
            return False
        held.add(record.index, record.end)
        self.rows.add(row.row, row.row + 1)
        if record.reason is None:
            self.batch_bytes += record.size
        else:
            self.gap_bytes += record.size
        return True


@dataclass(frozen=True, slots=True)
class Room:
    """What there is, and what of it may be dropped to make room."""

    batches: bool
    """Whether batches may be dropped; gaps may always be merged."""

    may_drop: IntervalSet
    """The rows that are nowhere else."""
    sent: IntervalSet
    """The rows that may have arrived: they go last."""
    batch_bytes: int
    gap_bytes: int


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done to the file in one transaction."""

    entries: list[Entry]
    doomed: list[Range]
    room: Room
    marks: Marks


@dataclass(slots=True)
class Written:
    """What a transaction did."""

    rows: list[tuple[Entry, int]] = field(default_factory=list)
    """The entries that have a row of their own now."""
    dropped: IntervalSet = field(default_factory=IntervalSet)
    """The rows that were dropped, or went into a gap with another number."""
    runs: list[Run] = field(default_factory=list)
    """What was dropped to make room."""
    batch_bytes: int = 0
    gap_bytes: int = 0
    """By how much the rows grew."""
    scale: float = 1.0
    """Bytes that the file needs for one byte of records."""


class DiskTier:
    """The open file, of `limit` bytes at most beside its log."""

    def __init__(self, path: Path, *, limit: int, encode_gap: EncodeGap) -> None:
        self.path = path
        self.batch_limit = limit - limit // 16
        self.gap_limit = limit // 16
        self._encode_gap = encode_gap
        self._boot = rows.boot_number()
        self._next_row = 1
        self._connection = self._open(min(max(limit // 16 // PAGE_BYTES, 16), LOG_PAGES))

    def _open(self, log_pages: int) -> sqlite3.Connection:
        pragmas = (
            "locking_mode = EXCLUSIVE",
            f"page_size = {PAGE_BYTES}",
            "auto_vacuum = INCREMENTAL",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {log_pages}",
            f"journal_size_limit = {log_pages * PAGE_BYTES}",
            f"cache_size = -{CACHE_KIB}",
            "temp_store = MEMORY",
            "secure_delete = OFF",  # Debian's default is ON: each page is written once more, with zeros
        )
        with translated(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
            try:
                rows.prepare(connection, pragmas)
            except BaseException:
                connection.close()
                raise
        return connection

    def close(self) -> None:
        """Let the file go; what was committed is in it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def scan(self, skip: IntervalSet) -> Contents:
        """Read and check all rows but those; DiskDamaged if one is not as it was written."""
        contents = Contents()
        with translated(self.path):
            for row in rows.select(self._connection, 0, 1 << 62):
                self._next_row = max(self._next_row, row.row + 1)
                if row.row not in skip and not contents.take(row):
                    raise DiskDamaged(f"{self.path}: row {row.row} has frames that another row has too")
            contents.marks = rows.read_marks(self._connection)
        return contents

    def take_over(self, old: Path, skip: IntervalSet) -> Contents:
        """Copy what is sound of another file's rows, without those to skip, and of its marks; as much as fits."""
        seen = Contents()
        found = (row for row in rows.salvage(old, seen.marks) if row.row not in skip and seen.take(row))
        try:
            with translated(self.path):
                while chunk := list(islice(found, SALVAGE_ROWS)):
                    with self._transaction():
                        self._connection.executemany(rows.INSERT, map(rows.values, chunk))
                with self._transaction():
                    rows.write_marks(self._connection, seen.marks)
        except DiskUnusable as trouble:
            if not trouble.full:
                raise
        return self.scan(IntervalSet())

    def write(self, work: Work) -> Written:
        """Delete, make room, insert, note the marks: all of it happens or nothing."""
        written = Written()
        with translated(self.path), self._transaction():
            self._connection.executemany("DELETE FROM record WHERE row >= ? AND row < ?", work.doomed)
            self._make_room(work, written)
            self._insert(work.entries, written)
            rows.write_marks(self._connection, work.marks)
        self._next_row += len(work.entries)
        return written

    def read(self, part: Range, limit: int) -> list[Row]:
        """The rows in [part), until they have `limit` bytes; those of an earlier boot with `put_ns` 0.

        DiskDamaged if one of them is not there.
        """
        found: list[Row] = []
        size = 0
        with translated(self.path):
            for row in rows.select(self._connection, *part):
                if row.row != part[0] + len(found):
                    break
                found.append(row if row.boot == self._boot else row._replace(put_ns=0))
                size += row.record.size
                if size >= limit:
                    return found
        if len(found) < part[1] - part[0]:
            raise DiskDamaged(f"{self.path}: row {part[0] + len(found)} is gone")
        return found

    def put_ns(self, row: int) -> int | None:
        """When the row was put; None if that was before the machine was booted."""
        with translated(self.path):
            found = self._connection.execute("SELECT boot, put_ns FROM record WHERE row = ?", (row,)).fetchone()
        return int(found[1]) if found and found[0] == self._boot else None

    def shrink(self) -> None:
        """Give unused pages back to the file system, if there are many."""
        with translated(self.path):
            unused = self._pragma("freelist_count")
            if unused > VACUUM_PAGES and unused * 2 > self._pragma("page_count"):
                # a script, because sqlite3 steps a statement without columns once: that would free one page
                self._connection.executescript(f"PRAGMA incremental_vacuum({SHRINK_PAGES})")
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _make_room(self, work: Work, written: Written) -> None:
        room = work.room
        incoming = sum(entry.record.size for entry in work.entries if entry.record.reason is None)
        scale = written.scale = self._file_bytes_per_byte(room)
        for keep in (room.sent, IntervalSet()):
            excess = room.batch_bytes + written.batch_bytes + incoming - int(self.batch_limit / scale)
            if room.batches and excess > 0:
                self._apply(plan(self._spans(room.may_drop, keep), excess, "batches"), written)
        excess = room.gap_bytes + written.gap_bytes - int(self.gap_limit / scale)
        if excess > 0:
            excess += self.gap_limit // 4
            self._apply(plan(self._spans(room.may_drop, IntervalSet()), excess, "gaps"), written)

    def _file_bytes_per_byte(self, room: Room) -> float:
        """How much larger the used pages are than the records in them: few rows fill a page to its end."""
        used = (self._pragma("page_count") - self._pragma("freelist_count") - FIXED_PAGES) * PAGE_BYTES
        return max(1.0, used / max(room.batch_bytes + room.gap_bytes, PAGE_BYTES))

    def _spans(self, may_drop: IntervalSet, keep: IntervalSet) -> Iterator[Span]:
        for row, stream, epoch, start, count, reason, codec, size in self._connection.execute(
            "SELECT row, stream, epoch, start, count, reason, codec, length(payload) FROM record ORDER BY row"
        ):
            pinned = row not in may_drop or row in keep
            yield Span(row, stream, epoch, start, count, reason, codec, size + RECORD_OVERHEAD, pinned)

    def _apply(self, runs: list[Run], written: Written) -> None:
        for run in runs:
            record = gap_record(run.stream, run.gap, run.codec, self._encode_gap)
            put = self._connection.execute(
                "SELECT put_ns, boot FROM record WHERE row = ?", (run.place,)
            ).fetchone()
            self._connection.execute(rows.REPLACE, rows.values(Row(run.place, record, *put)))
            gone = [place for place in run.members if place != run.place]
            self._connection.executemany("DELETE FROM record WHERE row = ?", [(place,) for place in gone])
            for place in gone:
                written.dropped.add(place, place + 1)
            written.batch_bytes -= run.batch_bytes
            written.gap_bytes += record.size - run.gap_bytes
        written.runs += runs

    def _insert(self, entries: Sequence[Entry], written: Written) -> None:
        numbered = list(enumerate(entries, self._next_row))
        self._connection.executemany(
            rows.INSERT,
            [rows.values(Row(row, entry.record, entry.put_ns, self._boot)) for row, entry in numbered],
        )
        for row, entry in numbered:
            written.rows.append((entry, row))
            if entry.record.reason is None:
                written.batch_bytes += entry.record.size
            else:
                written.gap_bytes += entry.record.size

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
