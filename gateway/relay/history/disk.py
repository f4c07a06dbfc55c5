"""A history on disk: segments in a directory, bounded in bytes; whole segments give way, the oldest first.

What was written is in the kernel's hands at once, so it outlives the process, though not the power. A frame
whose record is damaged comes out as lost, `undecodable`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from gateway.account import IntervalSet
from gateway.model import Gap
from gateway.relay.history import segment as files
from gateway.relay.history.headers import HEADER, Headers, Summary, record_of, summary_of, summary_of_all
from gateway.relay.history.history import EpochEnd
from gateway.relay.history.record import CODEC, HistoryRecord, Key

log = logging.getLogger(__name__)

STATE = "state.json"
SMALLEST_SEGMENT = 64 << 10
LARGEST_SEGMENT = 8 << 20
SEGMENTS = 64
"""A full history is about so many."""
REMEMBERED = 4
"""Segments whose headers are in memory, of each stream."""


@dataclass(slots=True)
class Faults:
    """What went wrong."""

    damaged: int = 0
    """Stretches of files that held nothing sound, and records that had changed."""
    unwritten: int = 0
    """Records that could not be written."""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A record that is read when it is asked for."""

    path: Path
    row: files.Row
    faults: Faults

    def fetch(self) -> HistoryRecord | None:
        """The record; a gap in its place if it is damaged; None if its segment has given way meanwhile."""
        *_, offset, size, crc, _ = self.row
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(offset)
                payload = file.read(size)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("history: %s", error)
            payload = b""
        if len(payload) == size and crc32(payload) == crc:
            return record_of(self.row, payload)
        self.faults.damaged += 1
        log.warning("history: %s: the record at byte %d is damaged", self.path, offset)
        epoch, index, count = self.row[:3]
        gap = CODEC.encode(Gap(epoch, index, count, "undecodable"))
        return record_of((*self.row[:10], True), gap)


class Segment:
    """One file: a chunk of the history."""

    def __init__(self, tier: DiskTier, path: Path, size: int, records: int, summary: Summary) -> None:
        self._tier = tier
        self.path = path
        self.size = size
        """Bytes of the file once its index is written."""
        self.records = records
        self.summary = summary

    def headers(self) -> Headers:
        """Of all records, ascending."""
        return self._tier.headers(self)

    def sources(self, rows: Sequence[int]) -> list[OnDisk]:
        """Where to read some of them."""
        return [OnDisk(self.path, row, self._tier.faults) for row in self.headers()[rows].tolist()]


class DiskTier:
    """The segments of one stream. Not for several threads, and not for several processes, at once.

    Raises OSError if the directory cannot be read or made; later failures are counted and logged.
    """

    def __init__(self, directory: Path, bound: int, segment_bytes: int | None = None) -> None:
        self._directory = directory
        self._bound = bound
        self._segment_bytes = segment_bytes or min(max(bound // SEGMENTS, SMALLEST_SEGMENT), LARGEST_SEGMENT)
        self.faults = Faults()
        self.covered: dict[int, IntervalSet] = {}
        self.ends: dict[int, EpochEnd] = {}
        self.floor: Key = (0, 0)
        """Up to here records may have given way."""
        self.bytes = 0
        """What the segments take, with the index that the open one will get."""
        self._segments: list[Segment] = []
        self._open: Segment | None = None
        self._file = -1
        self._rows: list[files.Row] = []
        self._remembered: OrderedDict[Path, Headers] = OrderedDict()
        self._number = 0
        self._adopt()

    @property
    def chunks(self) -> Sequence[Segment]:
        """All segments."""
        return self._segments

    def add(self, record: HistoryRecord) -> None:
        """Write a record whose indices are not there yet."""
        wire = files.encode(record)
        takes = len(wire) + HEADER.itemsize
        new_segment = len(files.MAGIC) + files.EMPTY_INDEX_BYTES
        if takes + new_segment > self._bound:
            self.faults.unwritten += 1
            return
        if self._open is not None and self._open.size + takes > self._segment_bytes:
            self.seal()
        while self._segments and self.bytes + takes + (new_segment if self._open is None else 0) > self._bound:
            self.drop_oldest()
        try:
            self._write(record, wire)
        except OSError as error:
            self.faults.unwritten += 1
            log.warning("history: %s: cannot write: %s", self._directory, error)
            self._abandon()

    def add_end(self, end: EpochEnd) -> None:
        """Write down where an epoch ended; `ends` has it already."""
        del end
        self._save_state()

    def drop_oldest(self) -> int:
        """Delete the segment that ends first in the stream's order; returns its bytes, 0 if there is none."""
        if not self._segments:
            return 0
        oldest = min(self._segments, key=lambda segment: segment.summary.last)
        headers = oldest.headers()
        if oldest is self._open:
            self._abandon()
        last = headers[-1]
        self.floor = max(self.floor, (int(last["epoch"]), int(last["index"] + last["count"])))
        for epoch, start, end in _runs(headers):
            self.covered[epoch].discard(start, end)
            if not self.covered[epoch]:
                del self.covered[epoch]
        # first the floor: what is gone and not said to be would look like a hole
        self._save_state()
        self._segments.remove(oldest)
        self._remembered.pop(oldest.path, None)
        self.bytes -= oldest.size
        with contextlib.suppress(FileNotFoundError):
            oldest.path.unlink()
        return oldest.size

    def seal(self) -> None:
        """Give the open segment its index; the next record begins another."""
        if self._open is None:
            return
        headers = files.headers_of(self._rows)
        try:
            _write_all(self._file, files.encode_index(headers, os.lseek(self._file, 0, os.SEEK_END)))
        except OSError as error:
            log.warning("history: %s: cannot write: %s", self._open.path, error)
        self._remember(self._open.path, headers)
        self._abandon()

    def close(self) -> None:
        """Leave everything so that it opens fast."""
        self.seal()

    def headers(self, segment: Segment) -> Headers:
        """Of a segment, from memory if it was asked for lately."""
        known = self._remembered.get(segment.path)
        if known is not None:
            self._remembered.move_to_end(segment.path)
            return known
        headers = files.headers_of(self._rows) if segment is self._open else self._load(segment.path)
        self._remember(segment.path, headers)
        return headers

    # Within

    def _adopt(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._load_state()
        for path in sorted(self._directory.glob("*.segment")):
            self._number = max(self._number, _number_of(path))
            headers = self._load(path)
            if not len(headers):
                self._delete(path)
                continue
            size = path.stat().st_size
            self._segments.append(Segment(self, path, size, len(headers), summary_of_all(headers)))
            self.bytes += size
            for epoch, start, end in _runs(headers):
                self.covered.setdefault(epoch, IntervalSet()).add(start, end)
        while self.bytes > self._bound:
            self.drop_oldest()

    def _delete(self, path: Path) -> None:
        """Nothing in it is sound."""
        try:
            path.unlink()
        except OSError as error:
            log.warning("history: %s: cannot delete: %s", path, error)

    def _load(self, path: Path) -> Headers:
        """From the index; a file without a sound one is searched, cut off after its last record, and given one."""
        try:
            headers = files.read_index(path)
            if headers is not None:
                return headers
            scanned = files.scan(path.read_bytes())
        except OSError as error:
            log.warning("history: %s: cannot read: %s", path, error)
            return np.empty(0, HEADER)
        self.faults.damaged += scanned.damaged
        headers = files.headers_of(scanned.rows)
        if not scanned.rows:
            return headers
        try:
            with path.open("r+b") as file:
                file.truncate(scanned.end)
                file.seek(scanned.end)
                file.write(files.encode_index(headers, scanned.end))
        except OSError as error:
            log.warning("history: %s: cannot write: %s", path, error)
        return headers

    def _write(self, record: HistoryRecord, wire: bytes) -> None:
        if self._open is None:
            self._number += 1
            path = self._directory / f"{self._number:016d}.segment"
            self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
            size = len(files.MAGIC) + files.EMPTY_INDEX_BYTES
            self._open = Segment(self, path, size, 0, summary_of(record))
            self._segments.append(self._open)
            self.bytes += size
            _write_all(self._file, files.MAGIC)
        offset = self._open.size - files.index_bytes(self._open.records)
        _write_all(self._file, wire)
        self._rows.append(files.row_of(record, offset))
        takes = len(wire) + HEADER.itemsize
        self._open.records += 1
        self._open.size += takes
        self._open.summary.take(record)
        self.bytes += takes
        self._remembered.pop(self._open.path, None)
        self.covered.setdefault(record.epoch, IntervalSet()).add(record.index, record.end)

    def _abandon(self) -> None:
        """Write no more to the open segment; without an index it is searched when it is opened again."""
        segment, self._open = self._open, None
        self._rows = []
        if segment is None:
            return
        os.close(self._file)
        if not segment.records:
            self._segments.remove(segment)
            self.bytes -= segment.size
            segment.path.unlink()

    def _remember(self, path: Path, headers: Headers) -> None:
        self._remembered[path] = headers
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def _load_state(self) -> None:
        try:
            state: dict[str, Any] = json.loads((self._directory / STATE).read_bytes())
            epoch, index = state["floor"]
            self.floor = (int(epoch), int(index))
            self.ends = {int(end[0]): EpochEnd(*map(int, end)) for end in state["ends"]}
        except FileNotFoundError:
            return
        except (ValueError, TypeError, KeyError) as error:
            self.faults.damaged += 1
            log.warning("history: %s: damaged: %s", self._directory / STATE, error)

    def _save_state(self) -> None:
        ends = [[end.epoch, end.end, end.following] for end in self.ends.values()]
        new = self._directory / f"{STATE}.new"
        try:
            new.write_text(json.dumps({"floor": self.floor, "ends": ends}), encoding="utf-8")
            new.replace(self._directory / STATE)
        except OSError as error:
            log.warning("history: %s: cannot write: %s", new, error)


def _runs(headers: Headers) -> list[tuple[int, int, int]]:
    """(epoch, start, end) of the records that follow each other without a hole."""
    ends = headers["index"] + headers["count"]
    breaks = np.ones(len(headers), bool)
    breaks[1:] = (headers["epoch"][1:] != headers["epoch"][:-1]) | (headers["index"][1:] != ends[:-1])
    first = np.flatnonzero(breaks)
    last = np.append(first[1:], len(headers)) - 1
    columns = (headers["epoch"][first], headers["index"][first], ends[last])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _write_all(file: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.write(file, content[written:])


def _number_of(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0
