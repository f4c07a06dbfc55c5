"""Packed binary values."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from boards.errors import UnknownInput
from boards.serial.parsers.base import Refusal, Row


class StructParser:
    """Values by field name, or by position: `1` is the first. Frames of another size are refused.

    The rows' type is the smallest that holds every chosen field: four `h` stay int16.
    """

    def __init__(self, keys: Sequence[str], *, format: str, fields: Sequence[str] = ()) -> None:
        self._struct = struct.Struct(format)
        sample = self._struct.unpack(bytes(self._struct.size))
        self.columns = tuple(fields) or tuple(str(place + 1) for place in range(len(sample)))
        if len(self.columns) != len(sample):
            raise UnknownInput(f"format {format!r} has {len(sample)} values, but there are {len(fields)} fields")
        self._places = tuple(self._place(key) for key in keys)
        types = _value_types(format)
        for place in self._places:
            if types[place] is None:
                raise UnknownInput(f"field {self.columns[place]!r} of format {format!r} is not a number")
        used = [types[place] for place in self._places]
        self.dtype: DTypeLike = np.result_type(*used) if used else np.float64

    def _place(self, key: str) -> int:
        if key in self.columns:
            return self.columns.index(key)
        if key.isascii() and key.isdigit() and 0 < int(key) <= len(self.columns):
            return int(key) - 1
        raise UnknownInput(f"there is no field {key!r}; fields are {', '.join(self.columns)}")

    def parse(self, frame: bytes) -> Row | Refusal | None:
        """The fields' numbers."""
        if len(frame) != self._struct.size:
            return Refusal(f"{len(frame)} bytes, not {self._struct.size}")
        values = self._struct.unpack(frame)
        row = [values[place] for place in self._places]
        return row if all(map(math.isfinite, row)) else Refusal("a value is not finite")


_TYPES: dict[str, str] = {
    "?": "u1", "b": "i1", "B": "u1", "h": "i2", "H": "u2", "i": "i4", "I": "u4", "l": "i4", "L": "u4",
    "q": "i8", "Q": "u8", "e": "f4", "f": "f4", "d": "f8",
}  # fmt: skip
"""Each format letter's type on the wire, in the standard sizes; half floats are widened."""


def _value_types(format: str) -> list[np.dtype[np.generic] | None]:
    """The type of each value that the format unpacks; None for text."""
    types: list[np.dtype[np.generic] | None] = []
    count = ""
    for letter in format.lstrip("@=<>!"):
        if letter.isdigit():
            count += letter
            continue
        if letter in "sp":
            types.append(None)
        elif letter == "c":
            types += [None] * int(count or 1)
        elif letter in _TYPES:
            types += [np.dtype(_TYPES[letter])] * int(count or 1)
        count = ""
    return types
