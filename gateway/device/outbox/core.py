"""What the outbox decides, without a lock, a thread or a file: records and times in, decisions out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from gateway.account import Range
from gateway.device.outbox.disk import Contents, Work, Written
from gateway.device.outbox.drop import Run
from gateway.device.outbox.flight import Flight
from gateway.device.outbox.ledger import Ledger, previous_epochs
from gateway.device.outbox.memory import Entry, MemoryTier
from gateway.device.outbox.record import (
    Counters,
    EncodeGap,
    OutboxSettings,
    PreviousEpoch,
    Record,
    Sending,
    gap_record,
)
from gateway.device.outbox.rows import Marks, Row
from gateway.device.outbox.sizes import Sizes
from gateway.model import Gap

DELETE_AFTER_NS = 2_000_000_000
"""Acknowledged rows are deleted together after so long, because each deletion rewrites a page."""
DELETE_ROWS = 4096
"""Or when they are so many."""
DELETE_AT_ONCE = 512
"""Rows in one transaction."""
DELETE_AT_ONCE_DEGRADED = 32
"""The same when the disk is full, or something else is wrong with it."""

Notice = tuple[str, dict[str, Any]]
"""An event's name and data."""


@dataclass(slots=True)
class _Due:
    """When what was done last, in ns."""

    delete: int = 0
    mark: int = 0


class Core:
    """The state of an outbox."""

    def __init__(self, settings: OutboxSettings, encode_gap: EncodeGap) -> None:
        self.settings = settings
        self.sizes = Sizes.of(settings)
        self.online = False
        self.degraded: str | None = None if settings.directory else "there is no directory"
        self.notices: list[Notice] = []
        self.opened_ns: int | None = None
        self.oldest_backlog_ns: int | None = None
        self.previous: list[PreviousEpoch] = []
        self.ledger = Ledger()
        self._encode_gap = encode_gap
        self._memory = MemoryTier(self.sizes.waiting, encode_gap)
        self._flight = Flight(settings.window, self.sizes.in_flight, settings.backlog_share)
        self._fetched: deque[Entry] = deque()
        self._fetched_bytes = 0
        self._reached: Marks = {}
        self._noted: Marks = {}
        self._done = _Due()
        self._token = 0
        self._dropped = 0
        self._crashed = 0
        self._full = False
        self._is_open = False
        self._acknowledged_late: list[Entry] = []

    # What acquisition and publisher do

    def put(self, record: Record, now_ns: int) -> None:
        """Take a record in, or declare it lost, or declare others lost in its favour."""
        if self.settings.durability == "spill":
            self._reach(record)
        if record.reason is None and self.settings.drop == "newest" and self._no_room_for(record):
            self._declare_full(record.count)
            record = gap_record(record.stream, _full_gap(record), record.codec, self._encode_gap)
        self._append(record, now_ns)
        self._bound_memory()

    def connected(self, window: int | None) -> None:
        """The broker is there."""
        self.online = True
        self._flight.window = min(self.settings.window, window or self.settings.window)

    def release_all(self) -> None:
        """The broker is away: what is in flight or was read back waits again where it was."""
        self.online = False
        self._wait_again([*self._flight.clear(), *self._fetched])
        self._fetched.clear()
        self._fetched_bytes = 0

    def release(self, token: int) -> None:
        """One that was taken did not go out: it waits again where it was."""
        entry = self._flight.remove(token)
        if entry is not None:
            self._wait_again([entry])

    def take(self) -> Sending | None:
        """The next record to send, if the window allows."""
        if not self.online:
            return None
        entry = self._next_live() or self._next_backlog()
        if entry is None:
            return None
        entry.sent = True
        return Sending(self._flight.add(entry), entry.record, entry.backlog)

    def ack(self, token: int) -> None:
        """The broker has what was taken under that token."""
        entry = self._flight.remove(token)
        if entry is None:
            return
        entry.done = True
        if entry.row is not None and self._is_open:
            self.ledger.doom(entry)
        elif entry.row is not None:
            self._acknowledged_late.append(entry)
        if self._full and self._has_emptied():
            self._full = False

    def counters(self, now_ns: int) -> Counters:
        """The state at this moment."""
        memory = [*self._memory, *self._fetched, *self._flight.entries()]
        in_memory_alone = [entry for entry in memory if entry.row is None]
        times = [entry.put_ns for entry in memory]
        if self.ledger.backlog:
            times.append(self.oldest_backlog_ns or self.opened_ns or now_ns)
        dropped = {"outbox_full": self._dropped, "crash": self._crashed}
        return Counters(
            records=self.ledger.records + len(in_memory_alone),
            bytes=self.ledger.bytes + sum(entry.record.size for entry in in_memory_alone),
            memory_records=len(memory),
            memory_bytes=sum(entry.record.size for entry in memory),
            disk_records=self.ledger.records,
            disk_bytes=self.ledger.bytes,
            in_flight=len(self._flight),
            in_flight_bytes=self._flight.bytes,
            oldest_s=max(0, now_ns - min(times, default=now_ns)) / 1e9,
            dropped={reason: frames for reason, frames in dropped.items() if frames},
            degraded=self.degraded if self.settings.directory else None,
        )

    # What the disk's thread does

    @property
    def hurry(self) -> bool:
        """Whether the disk's thread should not wait for its time."""
        if self.settings.durability == "always":
            newest = self._memory.newest
            return newest is not None and newest.row is None and not self._memory.may_grow(newest)
        return self._memory.batch_bytes > self.sizes.waiting // 4

    @property
    def unwritten(self) -> bool:
        """Whether something would be lost if the power went now."""
        return any(entry.row is None for entry in self._in_memory())

    def work(self, now_ns: int, *, everything: bool = False) -> Work | None:
        """What is due to be written or deleted; it counts as being written until `wrote` or `failed`."""
        self._evict(now_ns)
        entries = list(self._chunk(self._due(now_ns, everything=everything)))
        doomed = self._doomed() if self._deletion_is_due(now_ns, everything=everything) else []
        marks = self._marks(now_ns, entries, everything=everything or bool(doomed))
        if not entries and not doomed and not marks:
            return None
        for entry in entries:
            entry.writing = True
        return Work(entries, doomed, self.ledger.room(batches=self.settings.drop == "oldest"), marks)

    def wrote(self, work: Work, written: Written, now_ns: int) -> None:
        """The work was committed."""
        self.ledger.wrote(written, work.doomed)
        for entry in work.entries:
            entry.writing = False
            if entry.done:
                self.ledger.doom(entry)
        self._noted |= work.marks
        if work.doomed and self.ledger.doomed.count < DELETE_AT_ONCE:
            self._done.delete = now_ns
        if work.marks:
            self._done.mark = now_ns
        self._count_runs(written.runs)
        self._evict(now_ns)
        if self.degraded is not None and (work.entries or not (self.unwritten or self.ledger.doomed)):
            self.degraded = None
            self.notices.append(("outbox_recovered", {}))

    def failed(self, work: Work) -> None:
        """The work was not committed, and is to be done again."""
        for entry in work.entries:
            entry.writing = False

    def degrade(self, why: str) -> None:
        """Nothing can be written for now."""
        if self.degraded is None:
            self.notices.append(("outbox_degraded", {"why": why}))
        self.degraded = why

    def wanted(self) -> tuple[Range, int] | None:
        """The rows of the backlog to read next, and how many bytes of them at most."""
        free = self.sizes.fetched - self._fetched_bytes
        if not self.online or not self.ledger.backlog or free < self.sizes.fetched // 2:
            return None
        return next(iter(self.ledger.backlog)), free

    def fetched(self, rows: Sequence[Row]) -> None:
        """They were read."""
        if not self.online:
            return
        for row in rows:
            entry = self._entry(
                row.record, row.put_ns or self.opened_ns or 0, row=row.row, waiting=False, backlog=True
            )
            entry.sent = self.ledger.fetch(row.row)
            self._fetched.append(entry)
            self._fetched_bytes += row.record.size

    def closed(self) -> None:
        """The file was let go: what is acknowledged until it is open again cannot be looked up in it."""
        self._is_open = False

    def adopt(self, contents: Contents, now_ns: int, *, fresh: bool) -> int:
        """The file is open; returns the frames that it held when it was last seen, and does not hold now.

        They are declared lost: reason `crash`.
        """
        if self.opened_ns is None:
            self.opened_ns = now_ns
            self.previous = previous_epochs(contents)
            self._reached = contents.marks | self._reached
        self._noted = contents.marks
        self._is_open = True
        lost = self.ledger.adopt(contents, [*self._in_memory(), *self._acknowledged_late], fresh=fresh)
        for entry in self._acknowledged_late:
            if entry.row is not None:
                self.ledger.doom(entry)
        self._acknowledged_late.clear()
        for stream, epoch, (start, end) in lost:
            gap = Gap(epoch, start, end - start, "crash")
            self._append(gap_record(stream, gap, "cbor", self._encode_gap), now_ns)
            self._crashed += gap.count
        return sum(end - start for _, _, (start, end) in lost)

    # Within

    def _in_memory(self) -> Iterator[Entry]:
        return chain(self._flight.entries(), self._fetched, self._memory)

    def _entry(self, record: Record, put_ns: int, **state: Any) -> Entry:
        self._token += 1
        return Entry(self._token, record, put_ns, **state)

    def _wait_again(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.row is not None:
                self.ledger.leave(entry)
        self._memory.put_back([entry for entry in entries if entry.row is None])

    def _append(self, record: Record, now_ns: int) -> None:
        self._memory.append(self._entry(record, now_ns))

    def _next_live(self) -> Entry | None:
        first = self._memory.first
        if first is None or not self._flight.has_room_for(first):
            return None
        must_be_written = self.settings.durability == "always" and self.degraded is None
        if must_be_written and first.row is None and first.record.reason is None:
            return None
        return self._memory.pop()

    def _next_backlog(self) -> Entry | None:
        if not self._fetched or not self._flight.has_room_for(self._fetched[0]):
            return None
        entry = self._fetched.popleft()
        self._fetched_bytes -= entry.record.size
        return entry

    def _no_room_for(self, record: Record) -> bool:
        """Once full, there is room again when a sixteenth is free: what is lost is one range and not a sieve."""
        sixteenths = 14 if self._full else 15
        memory = self.sizes.waiting // 16 * sixteenths
        if not self._memory.has_room_for(record, memory):
            self._leave_memory(self._memory.evict(lambda entry: entry.row is not None))
        if not self._memory.has_room_for(record, memory):
            return True
        on_disk = (self.ledger.batch_bytes + self._memory.batch_bytes + record.size) * self.ledger.scale
        return self.degraded is None and on_disk > self.sizes.disk // 16 * sixteenths

    def _bound_memory(self) -> None:
        if not self._memory.is_over:
            return
        self._leave_memory(self._memory.evict(lambda entry: entry.row is not None))
        if self._memory.is_over:
            self._count_runs(self._memory.thin(batches=self.settings.drop == "oldest"))

    def _evict(self, now_ns: int) -> None:
        """What is on disk and does not go out soon need not be in memory too: it is backlog now."""
        crowded = self._memory.batch_bytes > self.sizes.waiting // 4
        before = now_ns if crowded or not self.online else now_ns - int(self.settings.spill_after_s * 1e9)
        self._leave_memory(self._memory.evict(lambda entry: entry.row is not None and entry.put_ns <= before))

    def _leave_memory(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.ledger.leave(entry)

    def _due(self, now_ns: int, *, everything: bool) -> Iterator[Entry]:
        """What is to be written now, oldest first.

        A gap that may still grow, because nothing followed it yet, can wait.
        """
        before = now_ns - int(self.settings.spill_after_s * 1e9)
        lonely = [entry for entry in self._in_memory() if entry.row is None and not entry.writing]
        if not everything:
            lonely = [entry for entry in lonely if not self._memory.may_grow(entry)]
        overdue = any(entry.put_ns <= before for entry in lonely)
        if everything or self._at_once or (overdue and not self.online):
            yield from lonely
        elif overdue:
            yield from (entry for entry in lonely if entry.put_ns <= before)

    @property
    def _at_once(self) -> bool:
        return self.settings.durability == "always" or self.hurry

    def _chunk(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        size = 0
        for entry in entries:
            yield entry
            size += entry.record.size
            if size >= self.sizes.chunk:
                return

    def _deletion_is_due(self, now_ns: int, *, everything: bool) -> bool:
        waited = now_ns - self._done.delete >= DELETE_AFTER_NS
        tight = self.ledger.bytes > self.sizes.disk // 2
        return bool(self.ledger.doomed) and (
            everything or waited or tight or self.ledger.doomed.count >= DELETE_ROWS
        )

    def _doomed(self) -> list[Range]:
        """Some of the rows to be deleted: each page they are on goes through the log, which has little room."""
        left = DELETE_AT_ONCE_DEGRADED if self.degraded else DELETE_AT_ONCE
        parts: list[Range] = []
        for start, end in self.ledger.doomed:
            parts.append((start, min(end, start + left)))
            left -= end - start
            if left <= 0:
                break
        return parts

    def _marks(self, now_ns: int, entries: list[Entry], *, everything: bool) -> Marks:
        """How far the streams have got, if it is time to note that."""
        if self.settings.durability == "always":
            for entry in entries:
                self._reach(entry.record)
        if not everything and now_ns - self._done.mark < self.settings.mark_s * 1e9:
            return {}
        return {key: end for key, end in self._reached.items() if self._noted.get(key) != end}

    def _reach(self, record: Record) -> None:
        key = (record.stream, record.epoch)
        self._reached[key] = max(self._reached.get(key, 0), record.end)

    def _count_runs(self, runs: list[Run]) -> None:
        frames = sum(run.frames for run in runs)
        if frames:
            self._declare_full(frames)

    def _declare_full(self, frames: int) -> None:
        self._dropped += frames
        if not self._full:
            self._full = True
            self.notices.append(("outbox_full", {"drop": self.settings.drop, "bound": self.settings.max_bytes}))

    def _has_emptied(self) -> bool:
        bound = self.sizes.waiting if self.degraded else self.sizes.disk
        return self.ledger.bytes + self._memory.bytes < bound // 4 * 3


def _full_gap(record: Record) -> Gap:
    return Gap(record.epoch, record.index, record.count, "outbox_full")
