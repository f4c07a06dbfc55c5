"""What waits in memory: records in order, bounded in bytes. No I/O and no lock: the outbox holds that."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.device.outbox.drop import Run, Span, plan
from gateway.device.outbox.record import EncodeGap, Record, gap_record
from gateway.model import Gap


@dataclass(slots=True, eq=False)
class Entry:
    """A record in memory, and where else it is."""

    token: int
    record: Record
    put_ns: int
    """CLOCK_MONOTONIC when it was put."""
    row: int | None = None
    """Its row on disk, if it has one."""
    writing: bool = False
    """It is being written at this moment."""
    waiting: bool = True
    """It is neither in flight nor done with."""
    sent: bool = False
    """It was handed out before: it may have arrived though nobody acknowledged it."""
    backlog: bool = False
    """It was read back from disk."""
    done: bool = False
    """It was acknowledged."""


class MemoryTier:
    """The records that wait in memory, oldest first.

    A sixteenth of `limit` is for gaps, the rest for batches.
    """

    def __init__(self, limit: int, encode_gap: EncodeGap) -> None:
        self._batch_limit = limit - limit // 16
        self._gap_limit = limit // 16
        self._encode_gap = encode_gap
        self._waiting: deque[Entry] = deque()
        self._latest: dict[str, Entry] = {}
        self.batch_bytes = 0
        self.gap_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._waiting)

    @property
    def bytes(self) -> int:
        """Of batches and gaps."""
        return self.batch_bytes + self.gap_bytes

    @property
    def first(self) -> Entry | None:
        """The oldest."""
        return self._waiting[0] if self._waiting else None

    @property
    def newest(self) -> Entry | None:
        """The newest."""
        return self._waiting[-1] if self._waiting else None

    def append(self, entry: Entry) -> None:
        """Take in the newest; a gap is merged with the stream's last record if that is its beginning."""
        latest = self._latest.get(entry.record.stream)
        if latest is not None and self._merge(latest, entry.record):
            return
        self._waiting.append(entry)
        self._latest[entry.record.stream] = entry
        self._count(entry.record, 1)

    def pop(self) -> Entry:
        """Take the oldest out."""
        entry = self._waiting.popleft()
        self._forget(entry)
        return entry

    def put_back(self, entries: list[Entry]) -> None:
        """Take in again what was taken out, in its old place."""
        for entry in entries:
            entry.waiting = True
            self._count(entry.record, 1)
        self._waiting = deque(sorted([*entries, *self._waiting], key=lambda entry: entry.token))

    def evict(self, goes: Callable[[Entry], bool]) -> list[Entry]:
        """Take out those that `goes` says, which have to be on disk."""
        gone = [entry for entry in self._waiting if goes(entry)]
        if gone:
            self._waiting = deque(entry for entry in self._waiting if not goes(entry))
            for entry in gone:
                self._forget(entry)
        return gone

    @property
    def is_over(self) -> bool:
        """Whether there is more than there may be."""
        return self.batch_bytes > self._batch_limit or self.gap_bytes > self._gap_limit

    def has_room_for(self, batch: Record, limit: int) -> bool:
        """Whether there is no need to drop for it, within the bound and that limit."""
        return self.batch_bytes + batch.size <= min(limit, self._batch_limit)

    def may_grow(self, entry: Entry) -> bool:
        """Whether it is a gap of ours that the stream's next record may lengthen."""
        return entry.record.reason == "outbox_full" and self._latest.get(entry.record.stream) is entry

    def thin(self, *, batches: bool) -> list[Run]:
        """Declare the oldest lost until the rest is within the bound; what may have arrived goes last.

        A little more than needed goes at once, so that the next records cost nothing. Without `batches`, gaps
        are merged and nothing else happens.
        """
        runs: list[Run] = []
        for keep_sent in (True, False):
            if batches and self.batch_bytes > self._batch_limit:
                spans = self._spans(keep_sent=keep_sent)
                runs += self._apply(
                    plan(spans, self.batch_bytes - self._batch_limit + self._batch_limit // 32, "batches")
                )
        if self.gap_bytes > self._gap_limit:
            spans = self._spans(keep_sent=False)
            runs += self._apply(plan(spans, self.gap_bytes - self._gap_limit // 2, "gaps"))
        return runs

    def _spans(self, *, keep_sent: bool) -> Iterator[Span]:
        for entry in self._waiting:
            record = entry.record
            yield Span(
                place=entry.token,
                stream=record.stream,
                epoch=record.epoch,
                index=record.index,
                count=record.count,
                reason=record.reason,
                codec=record.codec,
                size=record.size,
                pinned=entry.writing or entry.row is not None or (keep_sent and entry.sent),
            )

    def _apply(self, runs: list[Run]) -> list[Run]:
        goes = {token for run in runs for token in run.members}
        gaps = {run.place: run for run in runs}
        kept: deque[Entry] = deque()
        for entry in self._waiting:
            if entry.token not in goes:
                kept.append(entry)
                continue
            self._count(entry.record, -1)
            run = gaps.get(entry.token)
            if run is None:
                entry.waiting = False
                continue
            entry.record = gap_record(run.stream, run.gap, run.codec, self._encode_gap)
            self._count(entry.record, 1)
            kept.append(entry)
        self._waiting = kept
        return runs

    def _merge(self, latest: Entry, record: Record) -> bool:
        """Lengthen a gap by the one that follows it."""
        before = latest.record
        if record.reason is None or before.reason != record.reason:
            return False
        if (before.epoch, before.end, before.codec) != (record.epoch, record.index, record.codec):
            return False
        if not latest.waiting or latest.writing or latest.row is not None or latest.sent:
            return False
        gap = Gap(before.epoch, before.index, before.count + record.count, record.reason)
        latest.record = gap_record(before.stream, gap, before.codec, self._encode_gap)
        self.gap_bytes += latest.record.size - before.size
        return True

    def _forget(self, entry: Entry) -> None:
        entry.waiting = False
        self._count(entry.record, -1)

    def _count(self, record: Record, sign: int) -> None:
        if record.reason is None:
            self.batch_bytes += sign * record.size
        else:
            self.gap_bytes += sign * record.size
