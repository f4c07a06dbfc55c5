"""Which frames of an epoch are not there: the newest losses, declared or not, in the order of the index. Pure."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import NamedTuple

from gateway.account import IntervalSet
from gateway.model import Gap, GapReason

MOST_LOSSES = 1000
"""Of one epoch, and so in one envelope."""

_index = attrgetter("index")


class Loss(NamedTuple):
    """Consecutive frames that are not there."""

    start: int
    frames: int
    reason: GapReason | None
    """None: nobody has said why, and they may yet come."""


class Losses:
    """One epoch's, from the first frames on that came; what was declared does not overlap."""

    def __init__(self) -> None:
        self._known = IntervalSet()
        """What came or was declared lost."""
        self._declared: list[Gap] = []

    def deliver(self, start: int, end: int) -> None:
        """The frames [start, end) came."""
        self._known.add(start, end)
        if len(self._known) > MOST_LOSSES:
            self._known.close_first_hole()

    def declare(self, gap: Gap) -> None:
        """Frames will never come; the gap is one with the gap before it if it continues that."""
        self.deliver(gap.index, gap.end)
        at = bisect_left(self._declared, gap.index, key=_index)
        before = self._declared[at - 1] if at else None
        if before is not None and (before.end, before.reason) == (gap.index, gap.reason):
            self._declared[at - 1] = Gap(gap.epoch, before.index, before.count + gap.count, gap.reason)
            return
        self._declared.insert(at, gap)
        del self._declared[:-MOST_LOSSES]

    def within(self, start: int, end: int) -> tuple[Loss, ...]:
        """What of them is in [start, end), and the newest of that if it is more than `MOST_LOSSES`."""
        first = max(bisect_left(self._declared, start, key=_index) - 1, 0)
        last = bisect_left(self._declared, end, key=_index)
        parts = ((max(gap.index, start), min(gap.end, end), gap.reason) for gap in self._declared[first:last])
        found = [Loss(low, high - low, reason) for low, high, reason in parts if low < high]
        begin = next((low for low, _ in self._known), start)
        holes = self._known.holes(max(start, begin), min(end, self._known.end))
        return tuple(sorted(found + [Loss(low, high - low, None) for low, high in holes])[-MOST_LOSSES:])
