"""What the outbox knows of its file without reading it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.account import IntervalSet, Range
from gateway.device.outbox.disk import Contents, Room, Written
from gateway.device.outbox.memory import Entry
from gateway.device.outbox.record import PreviousEpoch, Record

Lost = tuple[str, int, Range]
"""Stream, epoch, and the indices that are gone."""


class Ledger:
    """Rows by what is to become of them, and the indices that they hold."""

    def __init__(self) -> None:
        self.backlog = IntervalSet()
        """Rows that are on disk alone and wait to be read."""
        self.doomed = IntervalSet()
        """Rows of acknowledged records, to be deleted."""
        self.sent = IntervalSet()
        """Rows of the backlog that were sent, and may have arrived."""
        self.holdings: dict[tuple[str, int], IntervalSet] = {}
        """Indices on disk that are not acknowledged, by stream and epoch."""
        self.records = 0
        self.batch_bytes = 0
        self.gap_bytes = 0
        self.scale = 1.0
        """Bytes that the file needs for one byte of records."""

    @property
    def bytes(self) -> int:
        """Of the rows that are not doomed."""
        return self.batch_bytes + self.gap_bytes

    def room(self, *, batches: bool) -> Room:
        """As the disk wants to know it; copies, because the rest goes on meanwhile."""
        return Room(batches, IntervalSet(self.backlog), IntervalSet(self.sent), self.batch_bytes, self.gap_bytes)

    def wrote(self, written: Written, doomed: Iterable[Range]) -> None:
        """A transaction was committed."""
        for part in doomed:
            self.doomed.discard(*part)
        for entry, row in written.rows:
            entry.row = row
            self._holding(entry.record).add(entry.record.index, entry.record.end)
        for part in written.dropped:
            self.records -= part[1] - part[0]
            self.backlog.discard(*part)
            self.sent.discard(*part)
        self.records += len(written.rows)
        self.scale = written.scale
        self.batch_bytes += written.batch_bytes
        self.gap_bytes += written.gap_bytes

    def leave(self, entry: Entry) -> None:
        """The entry leaves memory; its row stays."""
        assert entry.row is not None
        self.backlog.add(entry.row, entry.row + 1)
        if entry.sent:
            self.sent.add(entry.row, entry.row + 1)

    def fetch(self, row: int) -> bool:
        """The row comes to memory; whether it was sent before."""
        self.backlog.discard(row, row + 1)
        return bool(self.sent.discard(row, row + 1))

    def doom(self, entry: Entry) -> None:
        """The entry was acknowledged: its row may go."""
        assert entry.row is not None
        record = entry.record
        self.doomed.add(entry.row, entry.row + 1)
        self._holding(record).discard(record.index, record.end)
        self.records -= 1
        if record.reason is None:
            self.batch_bytes -= record.size
        else:
            self.gap_bytes -= record.size

    def adopt(self, contents: Contents, in_memory: Iterable[Entry], *, fresh: bool) -> list[Lost]:
        """The file was opened, or a `fresh` one in its place; returns what was in it and is not any more."""
        before = self.holdings
        self.holdings = contents.holdings
        self.records = contents.rows.count
        self.batch_bytes = contents.batch_bytes
        self.gap_bytes = contents.gap_bytes
        self.backlog = IntervalSet(contents.rows)
        if fresh:
            self.doomed = IntervalSet()
        lost = {key: IntervalSet(held) for key, held in before.items()}
        for (stream, epoch), held in contents.holdings.items():
            _subtract(lost.get((stream, epoch)), held)
        for entry in in_memory:
            record = entry.record
            _subtract(lost.get((record.stream, record.epoch)), [(record.index, record.end)])
            if entry.row is not None and entry.row in contents.rows:
                self.backlog.discard(entry.row, entry.row + 1)
            else:
                entry.row = None
        gone = IntervalSet()
        for part in self.sent:
            for hole in contents.rows.holes(*part):
                gone.add(*hole)
        _subtract(self.sent, gone)
        return [(stream, epoch, part) for (stream, epoch), parts in lost.items() for part in parts]

    def _holding(self, record: Record) -> IntervalSet:
        return self.holdings.setdefault((record.stream, record.epoch), IntervalSet())


def _subtract(parts: IntervalSet | None, gone: Iterable[Range]) -> None:
    if parts is not None:
        for part in gone:
            parts.discard(*part)


def previous_epochs(contents: Contents) -> list[PreviousEpoch]:
    """What the rows and marks of a file tell of the epochs they are from, by stream, ascending."""
    known: list[PreviousEpoch] = []
    for stream, epoch in sorted(contents.marks.keys() | contents.holdings.keys()):
        held = contents.holdings.get((stream, epoch), IntervalSet())
        reached = max(contents.marks.get((stream, epoch), 0), held.end)
        known.append(PreviousEpoch(stream, epoch, reached, tuple(held)))
    return known
