"""What is acquired and not yet acknowledged by the broker, bounded in bytes.

When it is full, what has to go is declared as a gap in its place.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.model import Gap


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One encoded message of a stream."""

    stream: str
    epoch: int
    index: int
    count: int
    payload: bytes
    dropped: bool = False
    """Whether it declares frames that this outbox had no room for."""

    @property
    def end(self) -> int:
        """The index after its last frame."""
        return self.index + self.count


class Outbox:
    """A queue between the acquisition and the publisher. Any thread may call anything."""

    def __init__(
        self,
        max_bytes: int,
        drop: Literal["oldest", "newest"],
        encode_gap: Callable[[str, Gap], bytes],
    ) -> None:
        self._max_bytes = max_bytes
        self._drop = drop
        self._encode_gap = encode_gap
        self._lock = threading.Lock()
        self._waiting: deque[Record] = deque()
        self._in_flight: dict[Record, None] = {}
        self.bytes = 0
        self.dropped_frames = 0

    def __len__(self) -> int:
        """How many records are not acknowledged."""
        return len(self._waiting) + len(self._in_flight)

    def put(self, record: Record) -> None:
        """Keep the record; where there is no room, declare the oldest or newest lost."""
        with self._lock:
            full = self.bytes + len(record.payload) > self._max_bytes
            if full and self._drop == "newest":
                self._declare(record, at_the_end=True)
                return
            self._append(record)
            while self.bytes > self._max_bytes and any(not waiting.dropped for waiting in self._waiting):
                self._drop_oldest()

    def take(self) -> Record | None:
        """The next record to send; it stays here, in flight, until `ack` or `release_all`."""
        with self._lock:
            if not self._waiting:
                return None
            record = self._waiting.popleft()
            self._in_flight[record] = None
            return record

    def ack(self, record: Record) -> None:
        """The broker has it: forget it."""
        with self._lock:
            if record in self._in_flight:
                del self._in_flight[record]
                self.bytes -= len(record.payload)

    def release_all(self) -> None:
        """The connection is gone: all that was in flight is to be sent again, in order."""
        with self._lock:
            self._waiting.extendleft(reversed(self._in_flight))
            self._in_flight.clear()

    def _append(self, record: Record) -> None:
        self._waiting.append(record)
        self.bytes += len(record.payload)

    def _drop_oldest(self) -> None:
        kept = []
        while (record := self._waiting.popleft()).dropped:
            kept.append(record)
        self.bytes -= len(record.payload)
        self._waiting.extendleft(reversed(kept))
        self._declare(record, at_the_end=False, after=len(kept))

    def _declare(self, lost: Record, *, at_the_end: bool, after: int = 0) -> None:
        """Put a gap in the place of a lost record, merged with the one before it."""
        self.dropped_frames += lost.count
        place = len(self._waiting) if at_the_end else after
        for number in range(place - 1, -1, -1):
            before = self._waiting[number]
            if before.stream != lost.stream:
                continue
            if before.dropped and (before.epoch, before.end) == (lost.epoch, lost.index):
                self._waiting[number] = gap = self._gap(lost, before.index, before.count + lost.count)
                self.bytes += len(gap.payload) - len(before.payload)
                return
            break
        gap = self._gap(lost, lost.index, lost.count)
        self._waiting.insert(place, gap)
        self.bytes += len(gap.payload)

    def _gap(self, lost: Record, index: int, count: int) -> Record:
        payload = self._encode_gap(lost.stream, Gap(lost.epoch, index, count, "outbox_full"))
        return Record(lost.stream, lost.epoch, index, count, payload, dropped=True)
