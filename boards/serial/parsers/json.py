"""JSON objects (RFC 8259), one a frame."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from boards.serial.parsers.base import Refusal, Row, number, text_of


class JsonParser:
    """Each channel is a key, or a path of keys and list positions from 0: `imu.accel.0`.

    A key that itself has dots in it is found first. Numbers, numbers in quotes, and true and false are values.
    """

    dtype: DTypeLike = np.float64

    def __init__(self, keys: Sequence[str], *, encoding: str = "utf-8") -> None:
        self.columns: tuple[str, ...] = ()
        self._keys = tuple(keys)
        self._encoding = encoding

    def parse(self, frame: bytes) -> Row | Refusal | None:
        """The keys' numbers."""
        text = text_of(frame, self._encoding)
        if isinstance(text, Refusal):
            return text
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return Refusal(f"{text[:40]!r} is not JSON")
        row = []
        for key in self._keys:
            value = _number_at(document, key)
            if isinstance(value, Refusal):
                return value
            row.append(value)
        return row


def _number_at(document: Any, key: str) -> float | Refusal:
    found = _find(document, key)
    if isinstance(found, str):
        return number(found)
    if not isinstance(found, int | float):
        return Refusal(f"there is no number at {key!r}")
    try:
        value = float(found)
    except OverflowError:
        return Refusal(f"the number at {key!r} is too large")
    return value if math.isfinite(value) else Refusal(f"the number at {key!r} is not finite")


def _find(document: Any, key: str) -> Any:
    """What is at the key or path; None if nothing is."""
    if isinstance(document, dict) and key in document:
        return document[key]
    here = document
    for part in key.split("."):
        if isinstance(here, dict):
            here = here.get(part)
        elif isinstance(here, list) and part.isascii() and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            return None
    return here
