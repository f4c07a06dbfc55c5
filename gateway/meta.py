"""The JSON beside a stream's batches: `meta`, which says how to read them, and `latest`. Pure."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.model import SCHEMA_VERSION, Batch, Channel, Stream


def meta_of(stream: Stream) -> dict[str, Any]:
    """What the retained `meta` says of a stream: how to read its batches."""
    return {
        "v": SCHEMA_VERSION,
        "revision": stream.revision,
        "stream": stream.name,
        "rate": [stream.rate.numerator, stream.rate.denominator] if stream.rate else None,
        "dtype": stream.dtype,
        "codec": stream.codec,
        "channels": [
            {
                "name": channel.name,
                "unit": channel.unit,
                "scale": channel.scale,
                "offset": channel.offset,
                "input": channel.input,
            }
            for channel in stream.channels
        ],
    }


def revision_of(stream: Stream) -> int:
    """A number from 1 to 65535 that another description of the stream has another of, over restarts too."""
    description = {key: value for key, value in meta_of(stream).items() if key != "revision"}
    return zlib.crc32(json.dumps(description, sort_keys=True).encode()) % 65535 + 1


def latest_of(stream: Stream, batch: Batch) -> dict[str, Any]:
    """What the retained `latest` says: the newest physical value of each channel, and when."""
    time_ns = int(batch.times_ns()[-1])
    instant = datetime.fromtimestamp(time_ns / 1e9, UTC)
    values = zip(stream.channels, batch.data[-1].tolist(), strict=True)
    return {
        "v": SCHEMA_VERSION,
        "t": instant.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "e": batch.epoch,
        "i": batch.end - 1,
        "values": {channel.name: _physical(raw, channel) for channel, raw in values},
        "units": {channel.name: channel.unit for channel in stream.channels},
    }


def _physical(raw: float, channel: Channel) -> float | None:
    """Nine digits, for people; None, as JSON has it, for what is not finite."""
    value = raw * channel.scale + channel.offset
    return float(f"{value:.9g}") if math.isfinite(value) else None


def channels_of(meta: Mapping[str, Any]) -> tuple[Channel, ...]:
    """The channels that a meta from the wire names; none if it is not as `meta_of` makes it."""
    try:
        return tuple(
            Channel(
                str(channel["name"]),
                str(channel.get("unit", "")),
                float(channel.get("scale", 1.0)),
                float(channel.get("offset", 0.0)),
                str(channel.get("input", "")),
            )
            for channel in meta["channels"]
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return ()
