"""How many rows are lost, and why: counted by what could not be decoded, or by the instrument's own numbers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from boards.base import LossReason
from boards.serial.counters import Counters
from boards.serial.parsers import Refusal

Loss = tuple[int, LossReason]
"""How many rows to declare lost, and why."""


def wraps_at(dtype: DTypeLike) -> int | None:
    """After how many numbers a packed counter begins anew; None for numbers in text, which just grow."""
    kind = np.dtype(dtype)
    return 2 ** (8 * kind.itemsize) if kind.kind in "iu" else None


class LossCounter(Protocol):
    """Says what to declare lost; lives as long as the source, over unplugging."""

    def opened(self, again: bool) -> None:
        """The port was opened: `again` if it had gone away, so that the numbering of rows goes on."""

    def refused(self) -> Loss:
        """What to declare now for a frame that could not be decoded."""

    def cut(self) -> Loss:
        """What to declare now for a row that unplugging cut."""

    def before(self, number: float | None) -> Loss | Refusal:
        """What to declare before a row that has this number of its own, or why it is no row after all."""


class CountRefusals:
    """One row is lost for each frame that could not be decoded; what left no trace on the wire is not seen."""

    def opened(self, again: bool) -> None:
        """Nothing is known of the rows that were sent meanwhile."""

    def refused(self) -> Loss:
        """The one row."""
        return 1, "undecodable"

    def cut(self) -> Loss:
        """The one row."""
        return 1, "unplugged"

    def before(self, number: float | None) -> Loss | Refusal:
        """Nothing."""
        return 0, "undecodable"


class CountByNumber:
    """The instrument numbers its rows, so those missing are known exactly, with or without a trace on the wire.

    They are declared when the next number comes. Where numbers don't go forward the instrument has started
    anew: then, and before the first number, the frames that could not be decoded are counted instead.
    """

    def __init__(self, modulo: int | None, counters: Counters) -> None:
        """After `modulo` - 1 comes 0; None never wraps."""
        self._modulo = modulo
        self._counters = counters
        self._last: int | None = None
        self._refused = 0
        self._away = False

    def opened(self, again: bool) -> None:
        """Rows sent while the port was away are missing from the numbers too."""
        self._away = again
        if not again:
            self._last = None
            self._refused = 0

    def refused(self) -> Loss:
        """Nothing yet: the next number says what was lost."""
        self._refused += 1
        return 0, "undecodable"

    def cut(self) -> Loss:
        """Nothing yet."""
        return self.refused()

    def before(self, number: float | None) -> Loss | Refusal:
        """The rows between the last number and this one."""
        if number is None or number != int(number):
            return Refusal(f"the row's own number {number} is not whole")
        missing = self._missing(int(number))
        reason: LossReason = "unplugged" if self._away else "undecodable" if self._refused else "overrun"
        self._last, self._refused, self._away = int(number), 0, False
        return missing, reason

    def _missing(self, number: int) -> int:
        if self._last is None:
            return self._refused
        ahead = number - self._last - 1
        if self._modulo is not None:
            ahead %= self._modulo
            if ahead > self._modulo // 2:
                ahead = -1
        if ahead < 0:
            self._counters.restarts += 1
            return self._refused
        return ahead
