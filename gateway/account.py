"""Accounting: which frames of a stream were delivered, which were declared lost, and which nobody spoke of.

Pure: messages in, ranges out. A range is half-open, `(start, end)`, everywhere.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from gateway.model import Batch, Gap, GapReason, Message

Range = tuple[int, int]
"""Indices from the first to before the second."""

MAXIMUM_HOLES = 10_000
"""How many holes a `StreamAccount` remembers one by one."""


HOLES_SHOWN = 100
"""How many holes a report lists."""


class IntervalSet:
    """A set of whole numbers, kept as disjoint ranges in ascending order.

    Memory is two numbers a range, so it grows with the holes and not with the members: a stream without holes
    is one range for ever. Adding at the end takes constant time; elsewhere it takes a binary search and a
    move of what stands behind.
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> list[Range]:
        """Add [start, end); returns the parts of it that were not there yet, ascending."""
        if start >= end:
            return []
        starts, ends = self._starts, self._ends
        if not ends or start > ends[-1]:
            starts.append(start)
            ends.append(end)
            return [(start, end)]
        if start == ends[-1]:
            ends[-1] = end
            return [(start, end)]
        first = bisect_left(ends, start)
        last = bisect_right(starts, end)
        new = _between(start, end, zip(starts[first:last], ends[first:last], strict=True))
        if first < last:
            start, end = min(start, starts[first]), max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]
        return new

    def discard(self, start: int, end: int) -> list[Range]:
        """Take [start, end) out; returns the parts of it that were there, ascending."""
        starts, ends = self._starts, self._ends
        if starts and starts[0] == start < end < ends[0]:  # a queue's way, in constant time
            starts[0] = end
            return [(start, end)]
        first = bisect_right(ends, start)
        last = bisect_left(starts, end)
        if start >= end or first >= last:
            return []
        taken = [(max(start, a), min(end, b)) for a, b in zip(starts[first:last], ends[first:last], strict=True)]
        left = [(starts[first], start)] if starts[first] < start else []
        right = [(end, ends[last - 1])] if ends[last - 1] > end else []
        starts[first:last] = [a for a, _ in left + right]
        ends[first:last] = [b for _, b in left + right]
        return taken

    def holes(self, low: int, high: int) -> list[Range]:
        """What of [low, high) is not there, ascending."""
        first = bisect_right(self._ends, low)
        last = bisect_left(self._starts, high)
        return _between(low, high, zip(self._starts[first:last], self._ends[first:last], strict=True))

    def overlap(self, low: int, high: int) -> list[Range]:
        """What of [low, high) is there, ascending."""
        first = bisect_right(self._ends, low)
        last = bisect_left(self._starts, high)
        inside = zip(self._starts[first:last], self._ends[first:last], strict=True)
        return [(max(low, start), min(high, end)) for start, end in inside]

    def covers(self, start: int, end: int) -> bool:
        """Whether all of [start, end) is there."""
        if start >= end:
            return True
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and self._ends[at] >= end

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return sum(self._ends) - sum(self._starts)

    @property
    def end(self) -> int:
        """The number after the largest; 0 if there is none."""
        return self._ends[-1] if self._ends else 0

    def __contains__(self, number: int) -> bool:
        return self.covers(number, number + 1)

    def __iter__(self) -> Iterator[Range]:
        return iter(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self._starts)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IntervalSet):
            return NotImplemented
        return self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"IntervalSet({list(self)})"

    def close_first_hole(self) -> int:
        """Join the first two ranges; returns how many numbers were between them."""
        if len(self) < 2:
            return 0
        low, high = self._ends[0], self._starts[1]
        self.add(low, high)
        return high - low

    def as_list(self) -> list[list[int]]:
        """For JSON: `[[start, end], …]`; `IntervalSet` takes it back."""
        return [[start, end] for start, end in self]


def _between(low: int, high: int, ranges: Iterable[Range]) -> list[Range]:
    """What of [low, high) lies outside the ascending, disjoint ranges."""
    outside: list[Range] = []
    for start, end in ranges:
        if low < start:
            outside.append((low, start))
        low = max(low, end)
    if low < high:
        outside.append((low, high))
    return outside


def length(ranges: Iterable[Range]) -> int:
    """How many numbers disjoint ranges hold."""
    return sum(end - start for start, end in ranges)


class StreamAccount:
    """One stream's frames in one epoch.

    Who joined an epoch late sets `since`: what lies before it is counted when it comes, and not missed when it
    does not. Memory is bounded: past `maximum_holes` the earliest hole is closed and counted as `given_up`, which
    stays undeclared for ever; what still comes for it is taken for a duplicate.
    """

    def __init__(self, since: int = 0, *, maximum_holes: int = MAXIMUM_HOLES) -> None:
        self._maximum_holes = maximum_holes
        self.since = since
        self.covered = IntervalSet()
        """Delivered or declared lost."""
        self.lost: dict[str, IntervalSet] = {}
        """Declared lost, by reason."""
        self.delivered = 0
        """Frames."""
        self.duplicates = 0
        """Frames that came, or were declared, once more."""
        self.out_of_order = 0
        """Messages with something new that began before the end of what was known."""
        self.contradicted = 0
        """Frames that were declared lost and came nevertheless; they are among the duplicates."""
        self.given_up = 0
        """Frames in holes that were closed to bound the memory."""

    def add(self, message: Message) -> list[Range]:
        """Count a message; returns what of it is new: all, parts, or nothing of its range."""
        if isinstance(message, Gap):
            return self.declare(message.index, message.end, message.reason)
        return self.deliver(message.index, message.end)

    def deliver(self, start: int, end: int) -> list[Range]:
        """Count frames that came; returns those that were not known yet."""
        new = self._cover(start, end)
        fresh = length(new)
        self.delivered += fresh
        if fresh < end - start:
            self.contradicted += sum(length(lost.overlap(start, end)) for lost in self.lost.values())
        return new

    def declare(self, start: int, end: int, reason: GapReason) -> list[Range]:
        """Count frames that are said to be lost; returns those that were not known yet."""
        new = self._cover(start, end)
        if new:
            lost = self.lost.setdefault(reason, IntervalSet())
            for part in new:
                lost.add(*part)
        return new

    def end_epoch(self, reached: int, backlog: Iterable[Range] = ()) -> list[Range]:
        """Declare `crash` what will never come once the epoch is over; returns it.

        `reached` and `backlog` are what the next epoch's birth says: how far the acquisition had got, and
        what the device still has and will send. Frames seen past `reached` count too.
        """
        will_come = IntervalSet(backlog)
        lost = [
            part
            for hole in self.covered.holes(self.since, max(reached, self.covered.end))
            for part in will_come.holes(*hole)
        ]
        for part in lost:
            self.declare(*part, "crash")
        return lost

    @property
    def end(self) -> int:
        """The index after the last frame that anything is known of."""
        return self.covered.end

    @property
    def declared(self) -> int:
        """Frames declared lost, whatever the reason."""
        return sum(lost.count for lost in self.lost.values())

    def holes(self, up_to: int | None = None) -> list[Range]:
        """The ranges below `up_to` (the end, if not given) that nobody spoke of."""
        return self.covered.holes(self.since, self.end if up_to is None else up_to)

    def undeclared(self, up_to: int | None = None) -> int:
        """How many frames below `up_to` (the end, if not given) nobody spoke of: 0, or something is broken."""
        return length(self.holes(up_to)) + self.given_up

    def as_dict(self) -> dict[str, Any]:
        """For people and for JSON."""
        return {
            "since": self.since,
            "end": self.end,
            "delivered": self.delivered,
            "lost": {reason: ranges.count for reason, ranges in sorted(self.lost.items())},
            "undeclared": self.undeclared(),
            "duplicates": self.duplicates,
            "out_of_order": self.out_of_order,
            "contradicted": self.contradicted,
            "holes": [list(hole) for hole in self.holes()[:HOLES_SHOWN]],
        }

    def _cover(self, start: int, end: int) -> list[Range]:
        known = self.covered.end
        new = self.covered.add(start, end)
        self.duplicates += end - start - length(new)
        if new and start < known:
            self.out_of_order += 1
        if len(self.covered) > self._maximum_holes:
            self.given_up += self.covered.close_first_hole()
        return new


class Account:
    """All streams and epochs of whoever sends: `StreamAccount`s by (stream, epoch)."""

    def __init__(self, *, maximum_holes: int = MAXIMUM_HOLES) -> None:
        self._maximum_holes = maximum_holes
        self.streams: dict[tuple[str, int], StreamAccount] = {}

    def of(self, stream: str, epoch: int, since: int = 0) -> StreamAccount:
        """The account of that stream and epoch; opened, and missing nothing before `since`, if there is none."""
        key = (stream, epoch)
        if key not in self.streams:
            self.streams[key] = StreamAccount(since, maximum_holes=self._maximum_holes)
        return self.streams[key]

    def add(self, stream: str, message: Message) -> list[Range]:
        """Count a message; returns what of it is new."""
        return self.of(stream, message.epoch).add(message)

    @property
    def undeclared(self) -> int:
        """Frames that nobody spoke of, below the ends seen."""
        return sum(account.undeclared() for account in self.streams.values())

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """By stream, then by epoch, ascending."""
        report: dict[str, dict[str, Any]] = {}
        for stream, epoch in sorted(self.streams):
            report.setdefault(stream, {})[str(epoch)] = self.streams[stream, epoch].as_dict()
        return report


def part_of(batch: Batch, start: int, end: int) -> Batch:
    """The frames [start, end) of a batch, with their own time and a view of its data.

    Raises ValueError if the batch does not hold them all.
    """
    if not batch.index <= start < end <= batch.end:
        raise ValueError(f"[{start}, {end}) is not within the batch's [{batch.index}, {batch.end})")
    first, last = start - batch.index, end - batch.index
    if batch.offsets_ns is not None:
        shift = int(batch.offsets_ns[first])
        offsets = batch.offsets_ns[first:last] - shift
    else:
        rate = batch.rate or Fraction(1)
        shift = first * 1_000_000_000 * rate.denominator // rate.numerator
        offsets = None
    return replace(
        batch,
        index=start,
        utc_ns=batch.utc_ns + shift,
        monotonic_ns=batch.monotonic_ns + shift,
        data=batch.data[first:last],
        offsets_ns=offsets,
    )
