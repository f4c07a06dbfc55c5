"""NMEA 0183 sentences, as GPS receivers and ship's instruments send them: `$GPGGA,...*47`.

The checksum, the exclusive or of the characters between `$` and `*`, is required and verified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from boards.errors import UnknownInput
from boards.serial.parsers.base import Refusal, Row, number

Convert = Callable[[Sequence[str]], float | Refusal]


def checksum(body: bytes) -> int:
    """The exclusive or of all bytes."""
    value = 0
    for byte in body:
        value ^= byte
    return value


def sentence(body: str) -> bytes:
    """A whole sentence, with its checksum and without the line's end."""
    data = body.encode("ascii")
    return b"$%s*%02X" % (data, checksum(data))


def _angle(cells: Sequence[str]) -> float | Refusal:
    """`4807.038` and `N`: degrees and minutes to signed degrees."""
    value, hemisphere = number(cells[0]), cells[1]
    if isinstance(value, Refusal):
        return value
    whole, minutes = divmod(value, 100)
    if hemisphere not in {"N", "S", "E", "W"} or value < 0 or minutes >= 60 or whole > 180:
        return Refusal(f"{cells[0]:.20},{hemisphere:.5} is not a position")
    degrees = whole + minutes / 60
    return -degrees if hemisphere in "SW" else degrees


def _time_of_day(cells: Sequence[str]) -> float | Refusal:
    """`hhmmss.ss` to seconds since midnight UTC."""
    value = number(cells[0])
    if isinstance(value, Refusal):
        return value
    hours, rest = divmod(value, 10_000)
    minutes, seconds = divmod(rest, 100)
    if not 0 <= hours < 24 or minutes >= 60 or seconds >= 61:
        return Refusal(f"{cells[0]:.20} is not a time of day")
    return hours * 3600 + minutes * 60 + seconds


def _plain(cells: Sequence[str]) -> float | Refusal:
    return number(cells[0])


def _valid(cells: Sequence[str]) -> float | Refusal:
    """`A` is a valid fix, `V` a warning."""
    if cells[0] not in {"A", "V"}:
        return Refusal(f"{cells[0]:.5} is not A or V")
    return float(cells[0] == "A")


def _variation(cells: Sequence[str]) -> float | Refusal:
    """`003.1` and `W`: signed degrees, east positive."""
    value = number(cells[0])
    if isinstance(value, Refusal):
        return value
    if cells[1] not in {"E", "W"}:
        return Refusal(f"{cells[1]:.5} is not E or W")
    return -value if cells[1] == "W" else value


Field = tuple[int, int, Convert]
"""The field's first cell (the sentence's name is cell 0), how many cells it takes, and its conversion."""

SENTENCES: dict[str, dict[str, Field]] = {
    "GGA": {
        "time": (1, 1, _time_of_day), "lat": (2, 2, _angle), "lon": (4, 2, _angle), "quality": (6, 1, _plain),
        "satellites": (7, 1, _plain), "hdop": (8, 1, _plain), "altitude": (9, 1, _plain), "geoid": (11, 1, _plain),
    },
    "RMC": {
        "time": (1, 1, _time_of_day), "valid": (2, 1, _valid), "lat": (3, 2, _angle), "lon": (5, 2, _angle),
        "speed": (7, 1, _plain), "course": (8, 1, _plain), "date": (9, 1, _plain),
        "variation": (10, 2, _variation),
    },
    "GLL": {"lat": (1, 2, _angle), "lon": (3, 2, _angle), "time": (5, 1, _time_of_day), "valid": (6, 1, _valid)},
    "VTG": {"course": (1, 1, _plain), "magnetic": (3, 1, _plain), "knots": (5, 1, _plain), "kmh": (7, 1, _plain)},
    "HDT": {"heading": (1, 1, _plain)},
    "DPT": {"depth": (1, 1, _plain), "offset": (2, 1, _plain)},
    "MWV": {"angle": (1, 1, _plain), "speed": (3, 1, _plain), "valid": (5, 1, _valid)},
}  # fmt: skip
"""Named fields: time in s since midnight UTC, lat, lon and angles in degrees, speed in knots, lengths in m."""


class NmeaParser:
    """One row for each sentence of the chosen type; others are no rows.

    A channel is one of the sentence's named fields, or a position: `1` is the first field.
    """

    dtype: DTypeLike = np.float64

    def __init__(self, keys: Sequence[str], *, sentence: str) -> None:
        self._sentence = sentence
        known = SENTENCES.get(sentence[-3:], {})
        self.columns = tuple(known)
        self._fields = [_field(key, known, sentence) for key in keys]

    def parse(self, frame: bytes) -> Row | Refusal | None:
        """The fields' numbers."""
        start, body, check = frame[:1], frame[1:-3], frame[-3:]
        if start not in (b"$", b"!") or check.upper() != b"*%02X" % checksum(body):
            return Refusal(f"not a sentence with a right checksum: {frame[:40]!r}")
        cells = body.decode("latin-1").split(",")
        if not cells[0].endswith(self._sentence):
            return None
        row = []
        for first, count, convert in self._fields:
            if first + count > len(cells):
                return Refusal(f"{len(cells) - 1} fields, not {first + count - 1} or more")
            value = convert(cells[first : first + count])
            if isinstance(value, Refusal):
                return value
            row.append(value)
        return row


def _field(key: str, known: dict[str, Field], name: str) -> Field:
    if key in known:
        return known[key]
    if key.isascii() and key.isdigit() and int(key) > 0:
        return int(key), 1, _plain
    named = f"{', '.join(known)}, or " if known else ""
    raise UnknownInput(f"sentence {name} has no field {key!r}; it has {named}positions from 1")
