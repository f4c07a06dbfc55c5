"""Rows and losses, in their order, to blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from boards.base import Block, LossReason
from boards.serial.parsers import Row


class BlockBuilder:
    """A block declares losses of one reason and then has rows, so a loss after rows begins another."""

    def __init__(self, channels: int, dtype: DTypeLike) -> None:
        self._channels = channels
        self._dtype = dtype
        self._done: list[Block] = []
        self._rows: list[Row] = []
        self._times: list[int] = []
        self._lost = 0
        self._reason: LossReason = "undecodable"

    def add(self, row: Row, time_ns: int) -> None:
        """The next row."""
        if not self._rows:
            self._times = [time_ns]
        else:
            self._times.append(time_ns)
        self._rows.append(row)

    def lose(self, count: int, reason: LossReason, time_ns: int) -> None:
        """So many rows are lost after those added."""
        if not count:
            return
        if self._rows or (self._lost and reason != self._reason):
            self._end()
        self._lost += count
        self._reason = reason
        self._times = [time_ns]

    def _end(self) -> None:
        rows = np.array(self._rows, dtype=self._dtype).reshape(len(self._rows), self._channels)
        offsets = np.array(self._times[: len(rows)], dtype=np.int64) - self._times[0]
        self._done.append(Block(rows, self._times[0], self._lost, self._reason, offsets))
        self._rows, self._lost = [], 0

    def take(self) -> list[Block]:
        """The blocks so far."""
        if self._rows or self._lost:
            self._end()
        done, self._done = self._done, []
        return done
