"""Rows of delimited columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from boards.errors import UnknownInput
from boards.serial.parsers.base import Refusal, Row, numbers, text_of

LARGEST_POSITION = 1000


class CsvParser:
    """Columns by name, from `columns` or a header line, or by position: `1` is the first.

    `in_order` takes the columns in the channels' order, where the channels' names are no columns'.
    """

    dtype: DTypeLike = np.float64

    def __init__(
        self,
        keys: Sequence[str],
        *,
        in_order: bool = False,
        columns: Sequence[str] = (),
        header: bool = False,
        delimiter: str = ",",
        decimal: str = ".",
        encoding: str = "utf-8",
    ) -> None:
        self.columns = tuple(columns)
        self._keys = tuple(keys)
        self._delimiter = None if delimiter == " " else delimiter
        self._decimal = decimal
        self._encoding = encoding
        self._header = header
        self._width = len(columns)
        """How many columns a row must have; 0 if only the highest used one must be there."""
        self._places = () if header else self._find_places(in_order)

    def _find_places(self, in_order: bool) -> tuple[int, ...]:
        if in_order and not self.columns:
            return tuple(range(len(self._keys)))
        return tuple(self._place(key) for key in self._keys)

    def _place(self, key: str) -> int:
        if key in self.columns:
            return self.columns.index(key)
        if key.isascii() and key.isdigit() and 0 < int(key) <= (self._width or LARGEST_POSITION):
            return int(key) - 1
        named = f"{', '.join(self.columns)}, or " if self.columns else ""
        raise UnknownInput(f"there is no column {key!r}; there are {named}positions from 1")

    def parse(self, frame: bytes) -> Row | Refusal | None:
        """The columns' numbers."""
        text = text_of(frame, self._encoding)
        if isinstance(text, Refusal):
            return text
        cells = [cell.strip().strip('"') for cell in text.split(self._delimiter)]
        if self._header and self._is_header(cells):
            return None
        if not self._places:
            return Refusal("no header line has come yet")
        if self._width and len(cells) != self._width:
            return Refusal(f"{len(cells)} columns, not {self._width}")
        if len(cells) <= max(self._places):
            return Refusal(f"{len(cells)} columns, not {max(self._places) + 1} or more")
        return numbers([cells[place] for place in self._places], self._decimal)

    def _is_header(self, cells: list[str]) -> bool:
        if not all(key in cells for key in self._keys):
            return False
        self.columns = tuple(cells)
        self._width = len(cells)
        self._places = tuple(cells.index(key) for key in self._keys)
        return True
