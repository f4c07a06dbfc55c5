"""The contract between a parser and whoever feeds it, and what parsers share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from numpy.typing import DTypeLike

Row = Sequence[float]
"""One number for each channel, in their order; integers where the parser's dtype is one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a frame is not a row."""

    reason: str


class Parser(Protocol):
    """One frame in; a row, a refusal, or None for a frame that is no row, such as a header. Never raises."""

    dtype: DTypeLike
    columns: tuple[str, ...]
    """The names that a channel's input may have, as far as they are known."""

    def parse(self, frame: bytes) -> Row | Refusal | None:
        """The frame's row."""


_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def number(text: str, decimal: str = ".") -> float | Refusal:
    """A finite decimal number with blanks around it, or why it is none.

    Stricter than `float()`, to which "nan", "1_000" and Arabic digits are numbers too.
    """
    plain = text.strip().replace(decimal, ".") if decimal != "." else text.strip()
    if not _NUMBER.fullmatch(plain):
        return Refusal(f"{text:.40} is not a number" if plain else "a value is missing")
    value = float(plain)
    return value if math.isfinite(value) else Refusal(f"{text:.40} is too large")


def numbers(texts: Sequence[str], decimal: str = ".") -> Row | Refusal:
    """Each text's number, or the first refusal."""
    row = []
    for text in texts:
        value = number(text, decimal)
        if isinstance(value, Refusal):
            return value
        row.append(value)
    return row


def text_of(frame: bytes, encoding: str) -> str | Refusal:
    """The frame as text."""
    try:
        return frame.decode(encoding)
    except UnicodeError:
        return Refusal(f"bytes that are not {encoding}: {frame[:20]!r}")
