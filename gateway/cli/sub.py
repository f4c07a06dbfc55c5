"""`headwater sub`: print a stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import click

from gateway.cli.common import broker_options
from gateway.client import Received, subscribe
from gateway.lines import columns_of, csv_header, csv_lines, json_lines
from gateway.model import Gap
from gateway.mqtt_settings import MqttSettings


@click.command(
    epilog="""\b
Examples:
  headwater sub demo/ecg
  headwater sub demo/ecg --count 1000 > ecg.csv
  headwater sub demo/ecg --format json --url mqtt://broker.lan
  headwater sub bbb1/ecg --config pki/readers/anna/mqtt.toml"""
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
def command(stream: str, settings: MqttSettings, form: str, count: int | None, duration: float | None) -> None:
    """Print a stream from the broker, in physical units, with its gaps.

    CSV times are UTC; a gap is a comment line that says which frames are missing and why.
    """
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
            yield from ((line, message.count) for line in csv_lines(message, ()))
            return
        columns = columns_of(received.meta, message)
        now = csv_header(columns)
        if header != [now]:
            header[:] = [now]
            yield now, 0
        yield from ((line, 1) for line in csv_lines(message, columns))

    return lines


def _json() -> Callable[[Received], Lines]:
    def lines(received: Received) -> Lines:
        message = received.message
        if isinstance(message, Gap):
            yield from ((line, message.count) for line in json_lines(message, ()))
            return
        yield from ((line, 1) for line in json_lines(message, columns_of(received.meta, message)))

    return lines


def _hex() -> Callable[[Received], Lines]:
    return lambda received: iter([(received.payload.hex(), 1)])


FORMATS: dict[str, Callable[[], Callable[[Received], Lines]]] = {"csv": _csv, "json": _json, "hex": _hex}
