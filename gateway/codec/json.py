"""JSON with the same fields as CBOR, for people and for tools that know nothing else.

Samples are nested lists, frame by frame; a batch of floats that are not finite has `null` in their place.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.codec import fields
from gateway.errors import CodecError
from gateway.model import Gap, Message

MAXIMUM_DEPTH = 32
"""Of nested lists and objects; ours have five."""

LIMITS: dict[str, tuple[float, float]] = {
    **{kind: (np.iinfo(kind).min, np.iinfo(kind).max) for kind in ("int8", "uint8", "int16", "uint16")},
    **{kind: (np.iinfo(kind).min, np.iinfo(kind).max) for kind in ("int32", "uint32", "int64", "uint64")},
    **{kind: (float(np.finfo(kind).min), float(np.finfo(kind).max)) for kind in ("float32", "float64")},
}
"""The types that samples may have, and their smallest and largest values."""


class JsonCodec:
    """Batches and gaps as one JSON object each; the type of the samples is in `k`."""

    name = "json"
    content_type = "application/json"

    def encode(self, message: Message) -> bytes:
        """One JSON object, without white space."""
        if isinstance(message, Gap):
            return _dump(fields.gap_fields(message))
        content = fields.header(message)
        content["k"] = _kind(message.data.dtype.name)
        content["d"] = _finite(message.data)
        if message.offsets_ns is not None:
            content["o"] = message.offsets_ns.tolist()
        return _dump(content)

    def decode(self, payload: bytes) -> Message:
        """The message; raises CodecError for anything that is not one."""
        content = json_object(payload)
        data = _table(content["d"], _kind(content.get("k")), "d") if "d" in content else None
        offsets = _table([content["o"]], "int64", "o")[0] if "o" in content else None
        return fields.message(content, data, offsets)


def _dump(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _finite(data: NDArray[Any]) -> Any:
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        blanked = data.astype(object)
        blanked[~np.isfinite(data)] = None
        return blanked.tolist()
    return data.tolist()


def _kind(name: object) -> str:
    if not isinstance(name, str) or name not in LIMITS:
        raise CodecError(f"samples must be of type {', '.join(LIMITS)}, not {fields.shown(name)}")
    return name


def _table(rows: object, kind: str, key: str) -> NDArray[Any]:
    """Lists of one length as an array; unlike numpy, takes only numbers, and only those that the type holds."""
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise CodecError(f"field {key!r} must hold lists of numbers")
    for number in itertools.chain.from_iterable(rows):
        if not _holds(kind, number):
            raise CodecError(f"field {key!r}: {fields.shown(number)} is not a number of type {kind}")
    if len({len(row) for row in rows}) > 1:
        raise CodecError(f"field {key!r} must have as many values in each frame")
    return np.array(rows, dtype=kind)


def _holds(kind: str, number: object) -> bool:
    if number is None:
        return kind.startswith("float")
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    low, high = LIMITS[kind]
    return low <= number <= high and (isinstance(number, int) or kind.startswith("float"))


def json_object(payload: bytes) -> dict[str, Any]:
    """The JSON object in a payload; raises CodecError for anything else.

    What it returns can be written as JSON again: numbers are finite, and nothing is nested beyond reason.
    """
    try:
        content = json.loads(payload, parse_constant=_refuse, parse_float=_finite_float)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CodecError(f"must be a JSON object, not {type(content).__name__}")
    if _deeper_than(MAXIMUM_DEPTH, content):
        raise CodecError(f"nested more than {MAXIMUM_DEPTH} deep")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _deeper_than(levels: int, value: object) -> bool:
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(levels - 1, child) for child in children)
