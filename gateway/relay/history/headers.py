"""Headers of many records as one array, and the chunks of them that a history is made of. Pure.

A chunk is a run of records that are kept together, in memory or in one file; chunks may overlap in index and
time, because backlog arrives late. Every query chooses the chunks that may hold what it looks for by their
summaries, and looks at all headers of those at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.relay.history.record import HistoryRecord, Key

HEADER = np.dtype(
    [
        ("epoch", "<i8"),
        ("index", "<i8"),
        ("count", "<i8"),
        ("utc_ns", "<i8"),
        ("last_ns", "<i8"),
        ("numerator", "<i8"),
        ("denominator", "<i8"),
        ("offset", "<i8"),
        ("size", "<u4"),
        ("crc", "<u4"),
        ("is_gap", "?"),
    ]
)
"""One record: its range, its times, its rate (0/0 if irregular), and where its payload stands in a file."""

Headers = NDArray[Any]
"""Shape (records,), type HEADER, ascending by (epoch, index)."""


@dataclass(slots=True)
class Summary:
    """Bounds of what a chunk holds; they may be wider than it is, never narrower."""

    first: Key
    last: Key
    """Where the last record begins."""
    end: Key
    """Up to where any record reaches."""
    earliest_ns: int
    latest_ns: int

    def take(self, record: HistoryRecord) -> None:
        """One record more."""
        self.first = min(self.first, record.key)
        self.last = max(self.last, record.key)
        self.end = max(self.end, (record.epoch, record.end))
        self.earliest_ns = min(self.earliest_ns, record.utc_ns)
        self.latest_ns = max(self.latest_ns, record.last_ns)


def summary_of(record: HistoryRecord) -> Summary:
    """Of a chunk of one."""
    return Summary(record.key, record.key, (record.epoch, record.end), record.utc_ns, record.last_ns)


def summary_of_all(headers: Headers) -> Summary:
    """Of a chunk with these headers, at least one."""
    first, last = headers[0], headers[-1]
    ends = (headers["index"] + headers["count"])[headers["epoch"] == last["epoch"]]
    return Summary(
        (int(first["epoch"]), int(first["index"])),
        (int(last["epoch"]), int(last["index"])),
        (int(last["epoch"]), int(ends.max())),
        int(headers["utc_ns"].min()),
        int(headers["last_ns"].max()),
    )


class Source(Protocol):
    """Something that a record can be had from later, even if the chunk has changed."""

    def fetch(self) -> HistoryRecord | None:
        """The record; None if it is no longer there, or damaged."""


class Chunk(Protocol):
    """Records that are kept together."""

    @property
    def summary(self) -> Summary:
        """What it may hold."""

    def headers(self) -> Headers:
        """Of all its records."""

    def sources(self, rows: Sequence[int]) -> Sequence[Source | HistoryRecord]:
        """Where to get the records of some headers."""


def header_of(record: HistoryRecord, offset: int = 0, crc: int = 0) -> tuple[Any, ...]:
    """One row of HEADER."""
    rate = record.rate
    return (
        record.epoch,
        record.index,
        record.count,
        record.utc_ns,
        record.last_ns,
        0 if rate is None else rate.numerator,
        0 if rate is None else rate.denominator,
        offset,
        len(record.payload),
        crc,
        record.is_gap,
    )


def record_of(row: Sequence[Any], payload: bytes) -> HistoryRecord:
    """The record of a row of HEADER, as a tuple, and its payload."""
    epoch, index, count, utc_ns, last_ns, numerator, denominator, _, _, _, is_gap = row
    rate = Fraction(numerator, denominator) if denominator else None
    return HistoryRecord(epoch, index, count, utc_ns, last_ns, bool(is_gap), rate, payload)


@dataclass(frozen=True, slots=True)
class Selection:
    """Headers out of several chunks, ascending, and where each came from."""

    chunks: Sequence[Chunk]
    headers: Headers
    chunk: NDArray[np.intp]
    """Which of the chunks, for each header."""
    row: NDArray[np.intp]
    """Which of its headers."""

    def __getitem__(self, chosen: slice | NDArray[Any]) -> Selection:
        return Selection(self.chunks, self.headers[chosen], self.chunk[chosen], self.row[chosen])

    def __len__(self) -> int:
        return len(self.headers)

    def frames(self) -> NDArray[np.int64]:
        """How many frames each record delivers, shape (records,)."""
        counts: NDArray[np.int64] = np.where(self.headers["is_gap"], 0, self.headers["count"])
        return counts

    def from_key(self, key: Key) -> int:
        """The place of the first record that begins at or after the key."""
        epochs = self.headers["epoch"]
        low, high = np.searchsorted(epochs, key[0]), np.searchsorted(epochs, key[0], side="right")
        return int(low + np.searchsorted(self.headers["index"][low:high], key[1]))

    def sources(self) -> list[Source | HistoryRecord]:
        """Where to get each record."""
        found: list[Source | HistoryRecord | None] = [None] * len(self)
        for number in np.unique(self.chunk):
            places = np.flatnonzero(self.chunk == number)
            sources = self.chunks[number].sources(self.row[places].tolist())
            for place, source in zip(places.tolist(), sources, strict=True):
                found[place] = source
        return [source for source in found if source is not None]


def select(chunks: Sequence[Chunk], masks: Iterable[NDArray[np.bool_] | None]) -> Selection:
    """The headers under each chunk's mask (all, if None), once each: of two equal ones the earlier chunk's."""
    rows = [
        np.arange(len(chunk.headers())) if mask is None else np.flatnonzero(mask)
        for chunk, mask in zip(chunks, masks, strict=True)
    ]
    headers = [chunk.headers()[row] for chunk, row in zip(chunks, rows, strict=True)]
    if not headers:
        nothing = np.empty(0, np.intp)
        return Selection(chunks, np.empty(0, HEADER), nothing, nothing)
    together = Selection(
        chunks,
        np.concatenate(headers),
        np.repeat(np.arange(len(chunks)), [len(row) for row in rows]),
        np.concatenate(rows),
    )
    ordered = together[np.lexsort((together.headers["index"], together.headers["epoch"]))]
    return ordered[_first_of_equals(ordered.headers)]


def _first_of_equals(headers: Headers) -> NDArray[np.bool_]:
    first = np.ones(len(headers), bool)
    same = headers["epoch"][1:] == headers["epoch"][:-1]
    first[1:] = ~(same & (headers["index"][1:] == headers["index"][:-1]))
    return first
