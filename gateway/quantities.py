"""Durations, sizes and rates as people write them: `"100ms"`, `"256MiB"`, `"1000/3"`."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*([A-Za-z]*)\s*")

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


SLOWEST_HZ, FASTEST_HZ = 1e-12, 1e12
LONGEST_S = 100 * 365.25 * 86400
"""A hundred years: in ns it still fits into 64 bits, and no timer overflows."""


def parse_duration(value: Any) -> float:
    """Seconds of `"100ms"`, `"5min"`, `2` or `"1.5s"`; raises ValueError."""
    allowed = "a duration such as '100ms', '2s' or '5min'"
    duration = _positive(value, _SECONDS, allowed, "s")
    if duration > LONGEST_S:
        raise ValueError(f"must be {allowed}, at most a hundred years")
    return duration


def parse_size(value: Any) -> int:
    """Bytes of `"256MiB"`, `"2GB"` or `4096`; raises ValueError."""
    allowed = "a size such as '256MiB', '2GB' or a number of bytes"
    size = int(_positive(value, _BYTES, allowed, "B"))
    if size == 0:
        raise ValueError(f"must be {allowed}, at least 1")
    return size


def parse_rate(value: Any) -> Fraction:
    """Frames a second of `500`, `0.5` or `"1000/3"`, exact; raises ValueError unless it is above zero."""
    allowed = "a rate in Hz above 0, such as 500, 0.5 or '1000/3'"
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
            raise TypeError
        if not SLOWEST_HZ <= _rough(str(value)) <= FASTEST_HZ:  # before exact arithmetic on a huge exponent
            raise ValueError
        rate = Fraction(str(value))
    except (ValueError, TypeError, ZeroDivisionError):
        raise ValueError(f"must be {allowed}") from None
    if rate <= 0:
        raise ValueError(f"must be {allowed}")
    return rate


def _rough(text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / float(denominator) if slash else float(numerator)


def format_rate(rate: Fraction) -> str:
    """`500`, `0.5` or `1000/3`: what `parse_rate` reads back."""
    if rate.denominator == 1:
        return str(rate.numerator)
    decimal = format(float(rate), "g")
    return decimal if Fraction(decimal) == rate else f"{rate.numerator}/{rate.denominator}"


def _positive(value: Any, units: dict[str, float] | dict[str, int], allowed: str, default: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"must be {allowed}")
    match = _NUMBER_AND_UNIT.fullmatch(str(value))
    if match is None or (match[2] or default) not in units:
        raise ValueError(f"must be {allowed}; units: {', '.join(units)}")
    amount = float(match[1]) * units[match[2] or default]
    if not amount > 0 or not math.isfinite(amount):
        raise ValueError(f"must be {allowed}, above 0")
    return amount


_USUAL_AMOUNT = r"(0\.[0-9]{0,8}[1-9]|[1-9][0-9]{0,3}(\.[0-9]{1,9})?)"
DURATION_SCHEMA = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_S},
        {"type": "string", "pattern": f"^{_USUAL_AMOUNT}({'|'.join(_SECONDS)})$"},
    ],
    "examples": ["100ms", "2s", "5min"],
}
"""What there is of a duration in JSON: the usual ways to write it, not all."""

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA)]
"""Seconds."""

Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes."""

Rate = Annotated[Fraction, BeforeValidator(parse_rate)]
"""Frames a second."""
