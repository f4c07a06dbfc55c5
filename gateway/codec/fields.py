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


def shown(value: object) -> str:
    """The value for an error message: short, whatever came over the wire."""
    try:
        return f"{value!r:.60}"
    except (ValueError, RecursionError):  # more digits, or deeper, than Python writes out
        return f"a very large {type(value).__name__}"


def whole(fields: Mapping[str, Any], key: str, low: int = 0, high: int = MAXIMUM_COUNT) -> int:
    """A whole number in [low, high)."""
    value = fields.get(key)
    if type(value) is not int or not low <= value < high:
        raise CodecError(f"field {key!r} must be a whole number from {low} to {high - 1}, not {shown(value)}")
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
        raise CodecError(f"field 'why' must be one of {', '.join(sorted(GAP_REASONS))}, not {shown(reason)}")
    index = whole(fields, "i")
    count = whole(fields, "n", 1, MAXIMUM_COUNT - index)
    return Gap(whole(fields, "e"), index, count, cast(GapReason, reason))


def _batch(fields: Mapping[str, Any], data: object, offsets: object) -> Batch:
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.size == 0:
        raise CodecError("field 'd' must hold frames x channels, at least one of each")
    rows: NDArray[np.int64] | None = None
    if offsets is not None:
        if (
            not isinstance(offsets, np.ndarray)
            or offsets.shape != (data.shape[0],)
            or offsets.dtype.kind not in "iu"
        ):
            raise CodecError("field 'o' must hold one whole number for each frame")
        rows = offsets.astype(np.int64, copy=False)
    rate, utc_ns = _rate(fields.get("r")), whole(fields, "t", -MAXIMUM_COUNT)
    _check_times(utc_ns, rate, data.shape[0], offsets)
    return Batch(
        epoch=whole(fields, "e"),
        index=whole(fields, "i", high=MAXIMUM_COUNT - data.shape[0]),
        utc_ns=utc_ns,
        monotonic_ns=whole(fields, "m", -MAXIMUM_COUNT),
        data=data,
        rate=rate,
        clock_error_ns=None if fields.get("q") is None else whole(fields, "q"),
        offsets_ns=rows,
        revision=whole(fields, "c"),
    )


def _rate(value: object) -> Fraction | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise CodecError(f"field 'r' must be two positive whole numbers, not {shown(value)}")
    numerator, denominator = (whole({"r": term}, "r", 1) for term in value)
    return Fraction(numerator, denominator)


def _check_times(utc_ns: int, rate: Fraction | None, frames: int, offsets: NDArray[Any] | None) -> None:
    """Every frame has a time, and an int64 holds it; raises CodecError."""
    if offsets is not None:
        first, last = int(offsets.min()), int(offsets.max())
    elif rate is not None:
        first, last = 0, (frames - 1) * 1_000_000_000 * rate.denominator // rate.numerator
    else:
        raise CodecError("a batch must have a rate 'r' or the frames' offsets 'o'")
    if not -MAXIMUM_COUNT <= utc_ns + first <= utc_ns + last < MAXIMUM_COUNT or last >= MAXIMUM_COUNT:
        raise CodecError("the times of the frames must be 64-bit numbers of ns")
