"""What the broker acknowledged lately, so that it can be sent again.

An acknowledgement says that the broker has a message, not that it will not lose it: one that is killed forgets
what it held for its subscribers. A subscriber that finds a hole asks for it, and gets it from here.
"""

from __future__ import annotations

import threading
from collections import deque

from gateway.account import IntervalSet, Range
from gateway.device.outbox.record import Record


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
            self._acknowledged.setdefault((record.stream, record.epoch), IntervalSet()).add(
                record.index, record.end
            )
            self.bytes += record.size
            while self.bytes > self._max_bytes:
                self.bytes -= self._records.popleft().size

    def find(self, stream: str, epoch: int, start: int, end: int) -> tuple[list[Record], list[Range]]:
        """The kept records that touch [start, end), and what of it was acknowledged and is kept no more."""
        with self._lock:
            found = [
                record
                for record in self._records
                if record.stream == stream and record.epoch == epoch and record.index < end and start < record.end
            ]
            acknowledged = self._acknowledged.get((stream, epoch), IntervalSet())
            there = IntervalSet((record.index, record.end) for record in found)
            gone = [part for low, high in acknowledged.overlap(start, end) for part in there.holes(low, high)]
        return found, gone
