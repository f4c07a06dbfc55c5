"""A part of the history as tables: the samples as rows, or the least and the greatest of stretches. Pure."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.lines import columns_of, physical_of, utc
from gateway.model import Batch, Channel, Gap, Message
from gateway.relay.envelope import Envelope, Pyramid, encode, merged

Meta = Mapping[str, Any]


class TooMuch(Exception):
    """More than can be put into one answer."""


class Summary:
    """The least and the greatest values of what is added, in so many stretches of equal length for each epoch."""

    def __init__(self, points: int) -> None:
        self._points = points
        self._stretches: list[Stretch] = []

    def add(self, messages: Iterable[Message]) -> None:
        """Take messages, in order."""
        for message in merged(messages):
            last = self._stretches[-1] if self._stretches else None
            if isinstance(message, Gap):
                if last is not None:
                    last.declare(message)
            elif last is not None and last.takes(message):
                last.add(message)
            else:
                self._stretches.append(Stretch(message))

    def envelopes(self) -> list[tuple[Envelope, int]]:
        """One for each epoch, with its revision of the meta; together about as many points as were asked for."""
        total = sum(stretch.frames for stretch in self._stretches)
        return [
            (stretch.envelope(max(2, self._points * stretch.frames // total)), stretch.revision)
            for stretch in self._stretches
        ]


class Stretch:
    """Batches of one epoch and one kind."""

    def __init__(self, batch: Batch) -> None:
        self._pyramid = Pyramid(batch)
        self._start, self._end = batch.index, batch.end
        self.revision = batch.revision
        self.frames = batch.frames

    def takes(self, batch: Batch) -> bool:
        """Whether the batch is of that kind too."""
        pyramid = self._pyramid
        kind = (pyramid.epoch, pyramid.columns, pyramid.dtype, self.revision)
        return kind == (batch.epoch, batch.data.shape[1], batch.data.dtype, batch.revision)

    def add(self, batch: Batch) -> None:
        """Take it."""
        self._pyramid.add(batch)
        self._end = max(self._end, batch.end)
        self.frames += batch.frames

    def declare(self, gap: Gap) -> None:
        """Take a gap, if it is of that epoch."""
        if gap.epoch == self._pyramid.epoch:
            self._pyramid.declare(gap)

    def envelope(self, width: int) -> Envelope:
        """All of it."""
        return self._pyramid.query(self._start, self._end, width)


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length."""

    epoch: int
    columns: dict[str, NDArray[Any]]


def table_of(envelope: Envelope, meta: Meta) -> Table:
    """An envelope in physical units: where a stretch has no frames, its values are NaN."""
    held = envelope.covered > 0
    shape = envelope.lo.shape
    channels = columns_of(meta, Batch(0, 0, 0, 0, envelope.lo))
    columns: dict[str, NDArray[Any]] = {
        "utc_ns": envelope.t,
        "index": envelope.index + np.arange(shape[0], dtype=np.int64) * envelope.frames,
        "frames": np.full(shape[0], envelope.frames, np.int64),
        "delivered": envelope.covered,
    }
    for number, (name, channel) in enumerate(zip(_distinct(channels), channels, strict=True)):
        raw = (np.where(held, end[:, number], np.nan) for end in (envelope.lo, envelope.hi))
        ends = [values * channel.scale + channel.offset for values in raw]
        columns[f"{name}_min"], columns[f"{name}_max"] = np.minimum(*ends), np.maximum(*ends)
    return Table(envelope.epoch, columns)


def table_csv(tables: Iterable[Table]) -> bytes:
    """CSV (RFC 4180): a header, again where the columns change, and a line a row; times as RFC 3339."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header: list[str] = []
    for table in tables:
        names = ["time", "epoch", *list(table.columns)[1:]]
        if header != names:
            writer.writerow(names)
            header = names
        for utc_ns, *values in zip(*(column.tolist() for column in table.columns.values()), strict=True):
            writer.writerow([utc(utc_ns), table.epoch, *map(_cell, values)])
    return text.getvalue().encode()


def table_json(stream: str, tables: Iterable[Table]) -> bytes:
    """An object for each epoch, with its columns as lists."""
    epochs = []
    for table in tables:
        columns: dict[str, list[Any]] = {}
        for name, column in table.columns.items():
            values = column.tolist()
            finite = [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
            columns[name] = [utc(v) for v in values] if name == "utc_ns" else finite
        columns["time"] = columns.pop("utc_ns")
        epochs.append({"epoch": table.epoch, **columns})
    return json.dumps({"stream": stream, "epochs": epochs}, separators=(",", ":")).encode()


def envelopes_cbor(envelopes: Iterable[Envelope]) -> bytes:
    """As over the WebSocket, one after the other (RFC 8742)."""
    return b"".join(map(encode, envelopes))


class Rows:
    """Samples as one structured array: a row a frame, a field a channel, in physical units."""

    def __init__(self, meta_of: Callable[[int], Meta], maximum_bytes: int) -> None:
        self._meta_of = meta_of
        self._maximum = maximum_bytes
        self._parts: list[NDArray[Any]] = []
        self._bytes = 0

    def add(self, batches: Iterable[Batch]) -> None:
        """Take batches; raises TooMuch."""
        for batch in batches:
            part = _rows(batch, columns_of(self._meta_of(batch.revision), batch))
            if self._parts and part.dtype != self._parts[0].dtype:
                raise TooMuch("the channels change within; ask for less")
            self._bytes += part.nbytes
            if self._bytes > self._maximum:
                raise TooMuch(f"one array holds {self._maximum >> 20} MiB; ask for less, for points=, or for csv")
            self._parts.append(part)

    def npy(self) -> bytes:
        """NumPy's file format, version 1.0."""
        return npy(np.concatenate(self._parts) if self._parts else np.empty(0, _dtype(())))


def table_npy(tables: Iterable[Table]) -> bytes:
    """All tables as one structured array; raises TooMuch if their columns differ."""
    parts = []
    for table in tables:
        dtype = [
            ("epoch", "<i8"),
            *((name, column.dtype.newbyteorder("<")) for name, column in table.columns.items()),
        ]
        part = np.empty(len(table.columns["utc_ns"]), np.dtype(dtype))
        part["epoch"] = table.epoch
        for name, column in table.columns.items():
            part[name] = column
        parts.append(part)
    if len({part.dtype for part in parts}) > 1:
        raise TooMuch("the channels change within; ask for less")
    return npy(np.concatenate(parts) if parts else np.empty(0, _dtype(())))


def npy(rows: NDArray[Any]) -> bytes:
    """The array in NumPy's file format."""
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getvalue()


def _rows(batch: Batch, channels: tuple[Channel, ...]) -> NDArray[Any]:
    rows = np.empty(batch.frames, _dtype(channels))
    rows["epoch"], rows["index"] = batch.epoch, np.arange(batch.index, batch.end)
    rows["utc_ns"] = batch.times_ns()
    physical = physical_of(batch, channels)
    for number, name in enumerate(rows.dtype.names[3:] if rows.dtype.names else ()):
        rows[name] = physical[:, number]
    return rows


def _dtype(channels: tuple[Channel, ...]) -> np.dtype[Any]:
    fields = ((name, "<f8") for name in _distinct(channels))
    return np.dtype([("epoch", "<i8"), ("index", "<i8"), ("utc_ns", "<i8"), *fields])


def _distinct(channels: tuple[Channel, ...]) -> list[str]:
    """The channels' names; by number if they would be mistaken for each other or for the other columns."""
    names = [channel.name for channel in channels]
    taken = {"", "time", "epoch", "index", "utc_ns", "frames", "delivered"}
    if len(set(names)) == len(names) and not taken & set(names):
        return names
    return [f"column_{number}" for number in range(len(names))]


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else format(value, ".6g")
