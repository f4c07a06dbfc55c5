"""The recent part of a history, in memory: bounded in bytes and in time. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from gateway.account import IntervalSet
from gateway.relay.history.headers import HEADER, Headers, header_of, summary_of
from gateway.relay.history.record import HistoryRecord, Key

CHUNK = 256
"""Records in one chunk, at most."""
OVERHEAD = 480
"""Bytes that a record takes beside its payload: its object, its numbers, its header, its place in a list."""


def size_of(record: HistoryRecord) -> int:
    """Bytes it takes in memory."""
    return len(record.payload) + OVERHEAD


class MemoryChunk:
    """Records in ascending order, at least one."""

    def __init__(self, records: list[HistoryRecord]) -> None:
        self.records = records
        self.summary = summary_of(records[0])
        for record in records:
            self.summary.take(record)
        self._headers: Headers | None = None

    def headers(self) -> Headers:
        """Of all records; made when asked for, and kept until they change."""
        if self._headers is None:
            self._headers = np.array([header_of(record) for record in self.records], HEADER)
        return self._headers

    def sources(self, rows: Sequence[int]) -> list[HistoryRecord]:
        """The records themselves."""
        return [self.records[row] for row in rows]

    def insert(self, record: HistoryRecord) -> None:
        """Put a record in its place: at the end, nearly always."""
        if record.key > self.records[-1].key:
            self.records.append(record)
        else:
            self.records.insert(bisect_right(self.records, record.key, key=lambda known: known.key), record)
        self.summary.take(record)
        self._headers = None

    def pop_first(self) -> HistoryRecord:
        """Take the first record out."""
        self._headers = None
        return self.records.pop(0)


class MemoryTier:
    """Records of one stream; the first in the stream's order give way to the others."""

    def __init__(self, span_ns: int, bound: int) -> None:
        self._span_ns = span_ns
        self._bound = bound
        self.chunks: list[MemoryChunk] = []
        self.covered: dict[int, IntervalSet] = {}
        """By epoch, the indices held."""
        self.bytes = 0
        """What it takes, payloads and all."""
        self.floor: Key = (0, 0)
        """Up to here records have been taken out."""

    def add(self, record: HistoryRecord) -> None:
        """Take a record whose indices are not there yet; it, or others, may go at once."""
        if not self._bound:
            self.floor = max(self.floor, (record.epoch, record.end))
            return
        self._insert(record)
        self.covered.setdefault(record.epoch, IntervalSet()).add(record.index, record.end)
        self.bytes += size_of(record)
        while self.bytes > self._bound or self._too_old():
            self.drop_first()

    def drop_first(self) -> int:
        """Take the first record out; returns its bytes, 0 if there is none."""
        if not self.chunks:
            return 0
        record = self.chunks[0].pop_first()
        if not self.chunks[0].records:
            del self.chunks[0]
        covered = self.covered[record.epoch]
        covered.discard(record.index, record.end)
        if not covered:
            del self.covered[record.epoch]
        self.floor = max(self.floor, (record.epoch, record.end))
        self.bytes -= size_of(record)
        return size_of(record)

    def neighbours(self, key: Key) -> tuple[HistoryRecord | None, HistoryRecord | None]:
        """The records of that epoch before and after an index that is in none."""
        at = bisect_right(self.chunks, key, key=lambda chunk: chunk.records[0].key)
        around: list[HistoryRecord] = []
        for chunk in self.chunks[max(at - 1, 0) : at + 1]:
            around += chunk.records
        place = bisect_right(around, key, key=lambda record: record.key)
        before = around[place - 1] if place > 0 and around[place - 1].epoch == key[0] else None
        after = around[place] if place < len(around) and around[place].epoch == key[0] else None
        return before, after

    def _too_old(self) -> bool:
        """Against when the last record began: that needs no clock, and a gap may end at any time it claims."""
        if not self.chunks:
            return False
        return self.chunks[0].records[0].last_ns < self.chunks[-1].records[-1].utc_ns - self._span_ns

    def _insert(self, record: HistoryRecord) -> None:
        if not self.chunks or record.key > self.chunks[-1].records[-1].key:
            if self.chunks and len(self.chunks[-1].records) < CHUNK:
                self.chunks[-1].insert(record)
            else:
                self.chunks.append(MemoryChunk([record]))
            return
        at = max(bisect_right(self.chunks, record.key, key=lambda chunk: chunk.records[0].key) - 1, 0)
        chunk = self.chunks[at]
        chunk.insert(record)
        if len(chunk.records) > CHUNK:
            half = len(chunk.records) // 2
            self.chunks[at : at + 1] = [MemoryChunk(chunk.records[:half]), MemoryChunk(chunk.records[half:])]
