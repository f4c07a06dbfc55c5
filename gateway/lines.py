"""A stream as lines of text: a line a frame, in physical units, and the gaps. Pure."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.meta import channels_of
from gateway.model import Batch, Channel, Gap, Message


def columns_of(meta: Mapping[str, Any], batch: Batch) -> tuple[Channel, ...]:
    """The channels that the meta names, or else the columns by number, raw."""
    channels = channels_of(meta)
    if len(channels) == batch.data.shape[1]:
        return channels
    return tuple(Channel(f"column_{number}") for number in range(batch.data.shape[1]))


def csv_header(columns: tuple[Channel, ...]) -> str:
    """The first line of CSV (RFC 4180): a unit may hold a comma."""
    line = io.StringIO()
    names = (f"{column.name} [{column.unit}]" if column.unit else column.name for column in columns)
    csv.writer(line, lineterminator="").writerow(["time", "index", *names])
    return line.getvalue()


def csv_lines(message: Message, columns: tuple[Channel, ...]) -> Iterator[str]:
    """Time, index and physical values of each frame; a gap is a comment."""
    if isinstance(message, Gap):
        yield f"# gap: {message.count} frames from index {message.index}: {message.reason}"
        return
    for time_ns, index, row in _rows(message, columns):
        yield f"{utc(time_ns)},{index},{','.join(format(value, '.6g') for value in row)}"


def json_lines(message: Message, columns: tuple[Channel, ...]) -> Iterator[str]:
    """An object for each frame, or for the gap."""
    if isinstance(message, Gap):
        gap = {"epoch": message.epoch, "index": message.index, "count": message.count, "reason": message.reason}
        yield json.dumps({"gap": gap})
        return
    names = [column.name for column in columns]
    for time_ns, index, row in _rows(message, columns):
        numbers = (value if math.isfinite(value) else None for value in row)
        values = dict(zip(names, numbers, strict=True))
        yield json.dumps({"time": utc(time_ns), "epoch": message.epoch, "index": index, "values": values})


def physical_of(batch: Batch, columns: tuple[Channel, ...]) -> NDArray[Any]:
    """The values in the channels' units, shape (frames, channels)."""
    physical: NDArray[Any] = batch.data * [c.scale for c in columns] + np.array([c.offset for c in columns])
    return physical


def utc(time_ns: int) -> str:
    """RFC 3339 with microseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def _rows(batch: Batch, columns: tuple[Channel, ...]) -> Iterator[tuple[int, int, list[float]]]:
    """Time in ns, index and physical values of each frame."""
    times = batch.times_ns().tolist()
    for number, row in enumerate(physical_of(batch, columns).tolist()):
        yield times[number], batch.index + number, row
