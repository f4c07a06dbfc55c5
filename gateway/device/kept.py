"""What the broker acknowledged lately, so that it can be sent again.

An acknowledgement says that the broker has a message, not that it will not lose it: one that is killed forgets
what it held for its subscribers. A subscriber that finds a hole asks for it, and gets it from here.
"""

from __future__ import annotations

import threading
from collections import deque

from gateway.account import IntervalSet, Range
from gateway.device.outbox.record import Record

MOST_EPOCHS = 256
"""Epochs of streams of which it is known what was acknowledged; the oldest are forgotten first."""


class Kept:
    """The newest acknowledged records, bounded in bytes. Any thread may call anything."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._records: deque[Record] = deque()
        self._acknowledged: dict[tuple[str, int], IntervalSet] = {}
        self.bytes = 0

    def add(self, record: Record) -> None:
        """Keep the record; the oldest make room for it."""
        with self._lock:
            self._records.append(record)
            self._of(record.stream, record.epoch).add(record.index, record.end)
            self.bytes += record.size
            while self.bytes > self._max_bytes:
                self.bytes -= self._records.popleft().size

    def find(self, stream: str, epoch: int, wanted: IntervalSet) -> tuple[list[Record], list[Range]]:
        """The kept records that hold any of it, and what of it was acknowledged and is kept no more."""
        with self._lock:
            # a copy, because whoever adds is the network thread and must not wait for the search
            records = list(self._records)
            acknowledged = IntervalSet(self._acknowledged.get((stream, epoch), ()))
        found = [
            record
            for record in records
            if record.stream == stream and record.epoch == epoch and wanted.overlap(record.index, record.end)
        ]
        there = IntervalSet((record.index, record.end) for record in found)
        known = [part for low, high in wanted for part in acknowledged.overlap(low, high)]
        return found, [hole for low, high in known for hole in there.holes(low, high)]

    def _of(self, stream: str, epoch: int) -> IntervalSet:
        key = (stream, epoch)
        if key not in self._acknowledged:
            known = self._acknowledged[key] = IntervalSet()
            if len(self._acknowledged) > MOST_EPOCHS:
                del self._acknowledged[min(self._acknowledged, key=lambda other: other[1])]
            return known
        return self._acknowledged[key]
