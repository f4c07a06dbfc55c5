"""The fields that every self-describing codec of ours shares: names, checks, and the way back to the model.

`v` schema version, `e` epoch, `i` first index, `t` UTC ns, `m` monotonic ns, `r` rate [num, den] (absent when
irregular), `q` clock error ns or null, `c` revision of the meta, `d` data, `o` row offsets in ns (irregular
only); a gap has `v`, `e`, `i`, `n` and `why`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gateway.errors import CodecError
from gateway.model import GAP_REASONS, SCHEMA_VERSION, Batch, Gap, GapReason, Message

MAXIMUM_COUNT = 1 << 63


def header(batch: Batch) -> dict[str, Any]:
    """All of a batch but `d` and `o`, in the order of the wire."""
    fields: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "e": batch.epoch,
        "i": batch.index,
        "t": batch.utc_ns,
        "m": batch.monotonic_ns,
    }
    if batch.rate is not None:
        fields["r"] = [batch.rate.numerator, batch.rate.denominator]
    fields["q"] = batch.clock_error_ns
    fields["c"] = batch.revision
    return fields


def gap_fields(gap: Gap) -> dict[str, Any]:
    """A gap, in the order of the wire."""
    return {"v": SCHEMA_VERSION, "e": gap.epoch, "i": gap.index, "n": gap.count, "why": gap.reason}


def whole(fields: Mapping[str, Any], key: str, low: int = 0, high: int = MAXIMUM_COUNT) -> int:
    """A whole number in [low, high)."""
    value = fields.get(key)
    if type(value) is not int or not low <= value < high:
        raise CodecError(f"field {key!r} must be a whole number from {low} to {high - 1}, not {value!r:.60}")
    return value


def message(fields: object, data: object, offsets: object) -> Message:
    """The batch or gap with these fields; `data` and `offsets` are arrays already, or None."""
    if not isinstance(fields, Mapping):
        raise CodecError(f"a message must be a map, not {type(fields).__name__}")
    version = whole(fields, "v")
    if version != SCHEMA_VERSION:
        raise CodecError(f"schema version {version} is not known here; this is version {SCHEMA_VERSION}")
    if "d" not in fields:
        return _gap(fields)
    return _batch(fields, data, offsets)


def _gap(fields: Mapping[str, Any]) -> Gap:
    reason = fields.get("why")
    if not isinstance(reason, str) or reason not in GAP_REASONS:
        raise CodecError(f"field 'why' must be one of {', '.join(sorted(GAP_REASONS))}, not {reason!r:.60}")
    index = whole(fields, "i")
    count = whole(fields, "n", 1, MAXIMUM_COUNT - index)
    return Gap(whole(fields, "e"), index, count, cast(GapReason, reason))


def _batch(fields: Mapping[str, Any], data: object, offsets: object) -> Batch:
    if not isinstance(data, np.ndarray) or data.ndim != 2:
        raise CodecError("field 'd' must hold frames x channels")
    rows: NDArray[np.int64] | None = None
    if offsets is not None:
        if (
            not isinstance(offsets, np.ndarray)
            or offsets.shape != (data.shape[0],)
            or offsets.dtype.kind not in "iu"
        ):
            raise CodecError("field 'o' must hold one whole number for each frame")
        rows = offsets.astype(np.int64, copy=False)
    return Batch(
        epoch=whole(fields, "e"),
        index=whole(fields, "i", high=MAXIMUM_COUNT - data.shape[0]),
        utc_ns=whole(fields, "t", -MAXIMUM_COUNT),
        monotonic_ns=whole(fields, "m", -MAXIMUM_COUNT),
        data=data,
        rate=_rate(fields.get("r")),
        clock_error_ns=None if fields.get("q") is None else whole(fields, "q"),
        offsets_ns=rows,
        revision=whole(fields, "c"),
    )


def _rate(value: object) -> Fraction | None:
    if value is None:
        return None
    match value:
        case [int(numerator), int(denominator)] if numerator > 0 and denominator > 0:
            return Fraction(numerator, denominator)
    raise CodecError(f"field 'r' must be two positive whole numbers, not {value!r:.60}")
