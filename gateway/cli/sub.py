"""`headwater sub`: print a stream."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from boards.options import parse_options
from gateway.cli.common import broker_options
from gateway.client import Received, subscribe
from gateway.meta import channels_of
from gateway.model import Batch, Channel, Gap
from gateway.mqtt import MqttSettings


@click.command(
    epilog="""\b
Examples:
  headwater sub demo/ecg
  headwater sub demo/ecg --count 1000 > ecg.csv
  headwater sub demo/ecg --format json --url mqtt://broker.lan"""
)
@click.argument("stream", metavar="DEVICE/STREAM")
@broker_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "hex"]),
    default="csv",
    show_default=True,
    help="A line a frame as CSV or JSON, or a line a message as hexadecimal bytes.",
)
@click.option("--count", type=click.IntRange(1), help="Stop after so many frames (hex: messages).")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
def command(stream: str, url: str, root: str, form: str, count: int | None, duration: float | None) -> None:
    """Print a stream from the broker, in physical units, with its gaps.

    CSV times are UTC; a gap is a comment line that says which frames are missing and why.
    """
    settings = parse_options(MqttSettings, {"url": url, "root": root}, "--url, --root")
    deadline = time.monotonic() + duration if duration else None
    lines = FORMATS[form]()
    left = count
    for received in subscribe(settings, stream):
        if received is not None:
            for line, frames in lines(received):
                click.echo(line)
                if left is not None and (left := left - frames) <= 0:
                    return
        if deadline is not None and time.monotonic() >= deadline:
            return


Lines = Iterator[tuple[str, int]]
"""A line, and how much of `--count` it is."""


def _csv() -> Callable[[Received], Lines]:
    header: list[str] = []

    def lines(received: Received) -> Lines:
        message = received.message
        if isinstance(message, Gap):
            yield f"# gap: {message.count} frames from index {message.index}: {message.reason}", message.count
            return
        now = [
            "time",
            "index",
            *(f"{c.name} [{c.unit}]" if c.unit else c.name for c in _columns(received, message)),
        ]
        if header != now:
            header[:] = now
            yield _csv_line(now), 0
        for time_ns, index, row in _rows(received, message):
            yield f"{_utc(time_ns)},{index},{','.join(format(value, '.6g') for value in row)}", 1

    return lines


def _json() -> Callable[[Received], Lines]:
    def lines(received: Received) -> Lines:
        message = received.message
        if isinstance(message, Gap):
            gap = {
                "epoch": message.epoch,
                "index": message.index,
                "count": message.count,
                "reason": message.reason,
            }
            yield json.dumps({"gap": gap}), message.count
            return
        names = [column.name for column in _columns(received, message)]
        for time_ns, index, row in _rows(received, message):
            numbers = (value if math.isfinite(value) else None for value in row)
            values = dict(zip(names, numbers, strict=True))
            yield json.dumps({"time": _utc(time_ns), "epoch": message.epoch, "index": index, "values": values}), 1

    return lines


def _hex() -> Callable[[Received], Lines]:
    return lambda received: iter([(received.payload.hex(), 1)])


FORMATS: dict[str, Callable[[], Callable[[Received], Lines]]] = {"csv": _csv, "json": _json, "hex": _hex}


def _csv_line(cells: list[str]) -> str:
    """One line of CSV (RFC 4180): a unit may hold a comma."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _columns(received: Received, batch: Batch) -> tuple[Channel, ...]:
    """The channels that the meta names, or else the columns by number, raw."""
    channels = channels_of(received.meta)
    if len(channels) == batch.data.shape[1]:
        return channels
    return tuple(Channel(f"column_{number}") for number in range(batch.data.shape[1]))


def _rows(received: Received, batch: Batch) -> Iterator[tuple[int, int, list[float]]]:
    """Time in ns, index and physical values of each frame."""
    columns = _columns(received, batch)
    physical: NDArray[Any] = batch.data * [c.scale for c in columns] + np.array([c.offset for c in columns])
    times = batch.times_ns().tolist()
    for number, row in enumerate(physical.tolist()):
        yield times[number], batch.index + number, row


def _utc(time_ns: int) -> str:
    """RFC 3339 with microseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
