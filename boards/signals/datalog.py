"""A recorded file, played one value a frame.

One number a line (LF or CRLF), or CSV with comma, semicolon or tab, with or without a row of column names.
Whole numbers within 0 to 4095 are the converter's own counts and are played as they are. Anything else is
refused, unless `fit` says to stretch the recording's range over the converter's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boards.errors import BadOption
from boards.options import did_you_mean
from boards.signals.adc import MAXIMUM, Counts, Floats

SEPARATORS = (",", ";", "\t")


def load(path: Path, column: str | int | None, fit: bool) -> Counts:
    """The recording as counts. Raises BadOption naming the file and the line, what it says and what is allowed."""
    lines = _read_lines(path)
    recording = _Recording(path, lines, _separator(lines[0]))
    values = recording.values(recording.column_number(column))
    if fit:
        return _stretch(values)
    _check_counts(path, values, recording.first_line)
    return values.astype(np.int16)


class Playback:
    """A recording from its first value on; after its end again from the start, or its last value for ever."""

    def __init__(self, recording: Counts, loop: bool) -> None:
        self._recording = recording
        self._loop = loop

    def counts(self, start: int, count: int) -> Counts:
        """The values at the frames [start, start + count)."""
        index = np.arange(start, start + count)
        return np.take(self._recording, index, mode="wrap" if self._loop else "clip")


@dataclass(frozen=True)
class _Recording:
    path: Path
    lines: Sequence[str]
    separator: str | None

    @property
    def names(self) -> list[str] | None:
        """The column names; None if the first row is data."""
        cells = [cell.strip().strip('"') for cell in self.lines[0].split(self.separator)] if self.separator else []
        cells = cells or [self.lines[0].strip().strip('"')]
        return None if all(_number(cell) is not None for cell in cells) or not any(map(_is_name, cells)) else cells

    @property
    def first_line(self) -> int:
        """Number of the first line of data, counted from 1."""
        return 2 if self.names else 1

    def column_number(self, column: str | int | None) -> int:
        """The chosen column, counted from 0."""
        names = self.names
        columns = len(self.lines[0].split(self.separator)) if self.separator else 1
        there = f"columns: {', '.join(names)}" if names else f"{columns} columns without names"
        if column is None:
            if columns > 1:
                raise BadOption(f"{self.path} has {there}; say which by 'column', a name or a number from 1")
            return 0
        if isinstance(column, str):
            if names is None or column not in names:
                near = did_you_mean(column, names or [])
                raise BadOption(f"{self.path} has no column {column!r}; it has {there}{near}")
            return names.index(column)
        if not 1 <= column <= columns:
            raise BadOption(f"{self.path} has no column {column}; allowed: 1 to {columns}")
        return column - 1

    def values(self, column: int) -> Floats:
        """The column's numbers, one for each line of data."""
        data = self.lines[self.first_line - 1 :]
        if not data:
            raise BadOption(f"{self.path} has a row of names and no values")
        values = np.empty(len(data))
        for row, line in enumerate(data):
            cells = line.split(self.separator) if self.separator else [line]
            number = _number(cells[column]) if column < len(cells) else None
            if number is None:
                raise BadOption(
                    f"{self.path}, line {self.first_line + row}: found {line!r:.80}; "
                    + (f"allowed: a number in column {column + 1}" if self.separator else "allowed: one number")
                )
            values[row] = number
        return values


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise BadOption(f"{path}: there is no such file" if not path.exists() else f"{path} is not a file")
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise BadOption(f"{path} cannot be read: {error.strerror}") from error
    lines = text.rstrip().splitlines()
    if not lines:
        raise BadOption(f"{path} is empty; it must hold one number a line, or CSV")
    return lines


def _separator(line: str) -> str | None:
    return next((separator for separator in SEPARATORS if separator in line), None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in text else None


def _is_name(text: str) -> bool:
    return text[:1].isalpha() and text.isprintable()


def _check_counts(path: Path, values: Floats, first_line: int) -> None:
    wrong = np.flatnonzero((values < 0) | (values > MAXIMUM) | (values != np.rint(values)))
    if len(wrong):
        raise BadOption(
            f"{path}, line {first_line + int(wrong[0])}: {values[wrong[0]]:g} is not a count of the converter; "
            f"allowed: whole numbers from 0 to {MAXIMUM}, or 'fit = true' to stretch any recording over that range"
        )


def _stretch(values: Floats) -> Counts:
    low, high = values.min(), values.max()
    if low == high:
        return np.full(len(values), (MAXIMUM + 1) // 2, dtype=np.int16)
    counts: Counts = np.rint((values - low) * (MAXIMUM / (high - low))).astype(np.int16)
    return counts
