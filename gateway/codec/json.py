"""JSON with the same fields as CBOR, for people and for tools that know nothing else.

Samples are nested lists, frame by frame; a batch of floats that are not finite has `null` in their place.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.codec import fields
from gateway.errors import CodecError
from gateway.model import Gap, Message


class JsonCodec:
    """Batches and gaps as one JSON object each; the type of the samples is in `k`."""

    name = "json"
    content_type = "application/json"

    def encode(self, message: Message) -> bytes:
        """One JSON object, without white space."""
        if isinstance(message, Gap):
            return _dump(fields.gap_fields(message))
        content = fields.header(message)
        content["k"] = message.data.dtype.name
        content["d"] = _finite(message.data)
        if message.offsets_ns is not None:
            content["o"] = message.offsets_ns.tolist()
        return _dump(content)

    def decode(self, payload: bytes) -> Message:
        """The message; raises CodecError for anything that is not one."""
        content = json_object(payload)
        data = _samples(content["d"], content.get("k")) if "d" in content else None
        offsets = _array(content["o"], "int64") if "o" in content else None
        return fields.message(content, data, offsets)


def _dump(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _finite(data: NDArray[Any]) -> Any:
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        blanked = data.astype(object)
        blanked[~np.isfinite(data)] = None
        return blanked.tolist()
    return data.tolist()


def _samples(value: object, kind: object) -> NDArray[Any]:
    if not isinstance(kind, str) or kind not in _KINDS:
        raise CodecError(f"field 'k' must be one of {', '.join(_KINDS)}, not {kind!r:.60}")
    return _array(value, kind)


_KINDS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


def _array(value: object, kind: str) -> NDArray[Any]:
    try:
        array = np.array(value, dtype=kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise CodecError(f"not an array of {kind}: {error}") from error
    return array


def json_object(payload: bytes) -> dict[str, Any]:
    """The JSON object in a payload; raises CodecError for anything else."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CodecError(f"must be a JSON object, not {type(content).__name__}")
    return content
