"""What one subscriber missed, exactly, in memory that is bounded. Pure."""

from __future__ import annotations

from gateway.account import IntervalSet
from gateway.model import Gap, GapReason
from gateway.relay.delivery import Span

MAXIMUM_RANGES = 1000
"""How many ranges are remembered one by one."""


class Missed:
    """Ranges of frames by epoch and reason, merged where they touch.

    A gap that was itself missed keeps its reason. When there are too many ranges, those reasons give way to
    `slow`, which merges more; `full` says that not even this helps.
    """

    def __init__(self, maximum_ranges: int = MAXIMUM_RANGES) -> None:
        self._maximum = maximum_ranges
        self._ranges: dict[tuple[int, GapReason], IntervalSet] = {}
        self._count = 0
        self._reasons_count = True

    def add(self, span: Span) -> None:
        """Remember the frames of a message that will not be sent."""
        reason: GapReason = span.reason or "slow" if self._reasons_count else "slow"
        self._add(span.epoch, reason, span.index, span.end)
        if self._count > self._maximum and self._reasons_count:
            self._forget_reasons()

    def pop(self) -> Gap:
        """Take out the first range: that of the lowest epoch and index. There must be one."""
        (epoch, reason), ranges = min(self._ranges.items(), key=lambda item: (item[0][0], next(iter(item[1]))))
        start, end = next(iter(ranges))
        ranges.discard(start, end)
        self._count -= 1
        if not ranges:
            del self._ranges[epoch, reason]
        self._reasons_count = self._reasons_count or not self._count
        return Gap(epoch, start, end - start, reason)

    def clear(self) -> None:
        """Forget everything."""
        self._ranges.clear()
        self._count = 0
        self._reasons_count = True

    @property
    def full(self) -> bool:
        """Whether there are more ranges than may be remembered."""
        return self._count > self._maximum

    def __len__(self) -> int:
        return self._count

    def _add(self, epoch: int, reason: GapReason, start: int, end: int) -> None:
        ranges = self._ranges.setdefault((epoch, reason), IntervalSet())
        before = len(ranges)
        ranges.add(start, end)
        self._count += len(ranges) - before

    def _forget_reasons(self) -> None:
        self._reasons_count = False
        known, self._ranges, self._count = self._ranges, {}, 0
        for (epoch, _), ranges in known.items():
            for start, end in ranges:
                self._add(epoch, "slow", start, end)
