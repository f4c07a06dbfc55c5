"""Lines in which a pattern's named groups are numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from boards.errors import UnknownInput
from boards.serial.parsers.base import Refusal, Row, numbers, text_of


class RegexParser:
    """The pattern is searched for anywhere in the line; each channel is a named group."""

    dtype: DTypeLike = np.float64

    def __init__(
        self, keys: Sequence[str], *, pattern: re.Pattern[str], decimal: str = ".", encoding: str = "utf-8"
    ) -> None:
        self.columns = tuple(pattern.groupindex)
        for key in keys:
            if key not in self.columns:
                raise UnknownInput(f"the pattern has no group {key!r}; it has {', '.join(self.columns)}")
        self._keys = tuple(keys)
        self._pattern = pattern
        self._decimal = decimal
        self._encoding = encoding

    def parse(self, frame: bytes) -> Row | Refusal | None:
        """The groups' numbers."""
        text = text_of(frame, self._encoding)
        if isinstance(text, Refusal):
            return text
        match = self._pattern.search(text)
        if match is None:
            return Refusal(f"the pattern is not in {text[:40]!r}")
        return numbers([match[key] or "" for key in self._keys], self._decimal)
