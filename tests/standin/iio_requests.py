"""What the tests of the IIO board ask of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from boards import Channel, SourceRequest

STAMPED = {
    "in_voltage0": "le:u12/16>>0",
    "in_voltage1": "be:u12/16>>4",
    "in_voltage2": "le:s13/32>>2",
    "in_timestamp": "le:s64/64>>0",
}
"""A device with time stamps, whose values are stored each in another way."""


def channels(*inputs: str) -> tuple[Channel, ...]:
    return tuple(Channel(f"c{place}", name) for place, name in enumerate(inputs))


def eight(rate: int, block: int, **options: Any) -> SourceRequest:
    return SourceRequest(channels(*(f"voltage{line}" for line in range(8))), Fraction(rate), block, options)
