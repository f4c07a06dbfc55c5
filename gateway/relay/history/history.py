"""One stream's history: what was delivered and what was declared lost, each index once, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.account import IntervalSet, Range
from gateway.model import Batch, Message
from gateway.relay.history import queries
from gateway.relay.history.headers import Chunk
from gateway.relay.history.memory import MemoryTier
from gateway.relay.history.record import Excerpt, HistoryRecord, Key, batch_record, gap_record

Gone = tuple[int, int, int]
"""Epoch, and the indices from the first to before the second."""

MAXIMUM_ENDS = 1000
"""How many epochs' ends are remembered."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """What a history may take."""

    memory_ns: int = 300_000_000_000
    memory_bytes: int = 64 << 20
    disk_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch had so many frames, and that one came after it."""

    epoch: int
    end: int
    following: int


@dataclass(frozen=True, slots=True)
class Resume:
    """The answer to somebody who was away."""

    recovered: bool
    """Whether `records` hold every index from where they were to the present."""
    records: Iterator[Excerpt]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the history, in order."""

    parts: list[Excerpt | Gone]
    """What is held, and what should be among it and was let go, or was over before anything was held."""
    more: bool
    """Whether more follow that are held already."""


class Tier(Protocol):
    """Where a history keeps records beside its memory."""

    covered: dict[int, IntervalSet]
    ends: dict[int, EpochEnd]
    floor: Key

    @property
    def chunks(self) -> Sequence[Chunk]:
        """All there is."""

    def add(self, record: HistoryRecord) -> None:
        """Keep it."""

    def add_end(self, end: EpochEnd) -> None:
        """Keep it."""


class StreamHistory:
    """The records of one stream, in memory and, if there is a tier for it, on disk.

    Not for several threads at once.
    """

    def __init__(self, limits: HistoryLimits | None = None, disk: Tier | None = None) -> None:
        limits = limits or HistoryLimits()
        self.memory = MemoryTier(limits.memory_ns, limits.memory_bytes)
        self.disk = disk
        self._ends: dict[int, EpochEnd] = {} if disk is None else disk.ends
        self._newest: Key | None = max(((epoch, self.covered(epoch).end) for epoch in self.epochs), default=None)

    def add(self, record: HistoryRecord) -> list[Range]:
        """Keep what of a record is not there yet, in its place; returns that."""
        reached = record.epoch, record.end
        if self._newest is None or record.key >= self._newest:  # nothing can be there of it
            new = [(record.index, record.end)]
        else:
            new = self.missing(record.epoch, record.index, record.end)
        for start, end in new:
            part = record.part(start, end)
            self.memory.add(part)
            if self.disk is not None:
                self.disk.add(part)
        if new and (self._newest is None or reached > self._newest):
            self._newest = reached
        return new

    def record_of(self, message: Message, payload: bytes, now_ns: int) -> HistoryRecord:
        """The record of a message and the CBOR that it came in.

        A gap has no time of its own: it gets that of its place between its neighbours, or `now_ns`.
        """
        if isinstance(message, Batch):
            return batch_record(message, payload)
        before, after = self.memory.neighbours((message.epoch, message.index))
        known = before or after
        if known is None:
            return gap_record(message, payload, now_ns, None)
        utc_ns = known.last_ns if known.rate is None and known is before else known.time_of(message.index)
        return gap_record(message, payload, utc_ns, known.rate)

    def end_epoch(self, epoch: int, end: int, following: int) -> None:
        """The epoch had `end` frames, and `following` came next; raises ValueError if that is not a later one."""
        if following <= epoch:
            raise ValueError(f"epoch {following} cannot follow epoch {epoch}")
        told = EpochEnd(epoch, end, following)
        if self._ends.get(epoch) == told:
            return
        self._ends[epoch] = told
        if len(self._ends) > MAXIMUM_ENDS:
            del self._ends[min(self._ends)]
        if self.disk is not None:
            self.disk.add_end(told)

    # What was asked for

    def since_time(self, start_ns: int) -> Iterator[Excerpt]:
        """Every frame at or after a moment, in order."""
        return queries.between(self._chunks(), start_ns, 1 << 63)

    def between(self, start_ns: int, end_ns: int) -> Iterator[Excerpt]:
        """Every frame from `start_ns` to before `end_ns`, in order."""
        return queries.between(self._chunks(), start_ns, end_ns)

    def from_index(self, epoch: int, index: int) -> Iterator[Excerpt]:
        """Every frame at or after (epoch, index), in order."""
        return queries.from_key(self._chunks(), (epoch, index))

    def page(self, epoch: int, index: int, size: int) -> Page:
        """The next so many bytes of records at or after (epoch, index), at least one."""
        excerpts, more = queries.page_from(self._chunks(), (epoch, index), size)
        parts, place = list[Excerpt | Gone](), (epoch, index)
        begin = self._begin() if excerpts and (excerpts[0].record.epoch, excerpts[0].start) != place else (0, 0)
        for excerpt in excerpts:
            first = (excerpt.record.epoch, excerpt.start)
            if place < min(first, begin):
                parts += self._gone(place, min(first, begin))
            parts.append(excerpt)
            place = (first[0], excerpt.end)
        return Page(parts, more)

    def place(self, moment_ns: int) -> Key:
        """(epoch, index) of the first delivered frame that is not earlier; past everything if there is none."""
        return queries.position(self._chunks(), moment_ns)

    def newest_ns(self) -> int | None:
        """When the last frame that was delivered was taken; None if none is held."""
        return next((excerpt.record.last_ns for excerpt in self.last(1) if not excerpt.record.is_gap), None)

    def first(self, count: int, epoch: int, index: int) -> Iterator[Excerpt]:
        """The first `count` delivered frames at or after (epoch, index), in order, and the gaps among them."""
        return queries.first_from(self._chunks(), count, (epoch, index))

    def last(self, count: int) -> Iterator[Excerpt]:
        """The last `count` delivered frames, in order; gaps among and after them are included and not counted."""
        return queries.last_before(self._chunks(), count)

    def around(self, moment_ns: int, *, before: int, after: int) -> Iterator[Excerpt]:
        """`before` delivered frames before a moment and `after` from it on, in order.

        The moment's place is before the first delivered frame, in the stream's order, that is not earlier.
        """
        chunks = self._chunks()
        place = queries.position(chunks, moment_ns)
        return _joined(
            [*queries.last_before(chunks, before, place), *queries.first_from(chunks, after, place)],
        )

    def resume(self, epoch: int, index: int) -> Resume:
        """Everything from (epoch, index) on, and whether nothing of it is missing."""
        return Resume(self._complete_from(epoch, index), self.from_index(epoch, index))

    # What there is

    @property
    def newest(self) -> Key | None:
        """(epoch, end) of the furthest frame ever seen; None if there was none."""
        return self._newest

    @property
    def epochs(self) -> list[int]:
        """Those of which anything is held, ascending."""
        on_disk = () if self.disk is None else self.disk.covered
        return sorted({*self.memory.covered, *on_disk})

    def missing(self, epoch: int, start: int, end: int) -> list[Range]:
        """What of [start, end) is not held, ascending."""
        known = self.memory.covered.get(epoch)
        holes = (IntervalSet() if known is None else known).holes(start, end)
        on_disk = None if self.disk is None else self.disk.covered.get(epoch)
        return holes if on_disk is None else [part for hole in holes for part in on_disk.holes(*hole)]

    def covered(self, epoch: int) -> IntervalSet:
        """The indices held of an epoch."""
        ranges = IntervalSet(self.memory.covered.get(epoch, ()))
        for start, end in () if self.disk is None else self.disk.covered.get(epoch, ()):
            ranges.add(start, end)
        return ranges

    def holes(self) -> dict[int, list[Range]]:
        """By epoch, what is missing between what was let go for want of room, and the end."""
        found = {epoch: self.covered(epoch).holes(self.since(epoch), self._end(epoch)) for epoch in self.epochs}
        return {epoch: holes for epoch, holes in found.items() if holes}

    def since(self, epoch: int) -> int:
        """The first index of an epoch that is held, or may still come; one of which something is held."""
        floor = self.memory.floor if self.disk is None else self.disk.floor
        if floor[0] == epoch:
            return floor[1]
        if epoch > floor[0] and epoch != self.epochs[0]:
            return 0
        return next(iter(self.covered(epoch)))[0]

    # Within

    def _chunks(self) -> list[Chunk]:
        """Memory first: of equal records it is the cheaper."""
        return [*self.memory.chunks, *(() if self.disk is None else self.disk.chunks)]

    def _begin(self) -> Key:
        """What is missing before this place was let go or never held; what is missing behind it may still come."""
        floor = self.memory.floor if self.disk is None else self.disk.floor
        first = self.epochs[0]
        return max(floor, (first, next(iter(self.covered(first)))[0]))

    def _gone(self, start: Key, end: Key) -> list[Gone]:
        """The frames between two places, as far as it is known how many they are."""
        gone: list[Gone] = []
        epoch, index = start
        while epoch < end[0] and epoch in self._ends:
            ended = self._ends[epoch]
            gone.append((epoch, index, ended.end))
            epoch, index = ended.following, 0
        if epoch <= end[0]:
            gone.append((end[0], index if epoch == end[0] else 0, end[1]))
        return [part for part in gone if part[1] < part[2]]

    def _complete_from(self, epoch: int, index: int) -> bool:
        if self._newest is None or (epoch not in self._ends and epoch not in self.epochs):
            return False
        while epoch < self._newest[0]:
            if epoch not in self._ends or index > self._end(epoch) or self.missing(epoch, index, self._end(epoch)):
                return False
            epoch, index = self._ends[epoch].following, 0
        return index <= self._end(epoch) and not self.missing(epoch, index, self._end(epoch))

    def _end(self, epoch: int) -> int:
        """The index after the last frame that anything is known of."""
        told = self._ends.get(epoch)
        newest = self._newest[1] if self._newest is not None and self._newest[0] == epoch else 0
        return max(self.covered(epoch).end, newest, 0 if told is None else told.end)


def _joined(excerpts: Sequence[Excerpt]) -> Iterator[Excerpt]:
    """The two parts of one record as one excerpt."""
    joined: list[Excerpt] = []
    for excerpt in excerpts:
        last = joined[-1] if joined else None
        if last is not None and last.record.key == excerpt.record.key and last.end == excerpt.start:
            joined[-1] = Excerpt(excerpt.record, last.start, excerpt.end)
        else:
            joined.append(excerpt)
    return iter(joined)
