"""What a history keeps of one message, and what it hands out. Pure.

Every frame has a time: that of its batch for a delivered one, an estimate for one that is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gateway.account import part_of
from gateway.codec.cbor import CborCodec
from gateway.model import Batch, Gap, Message

NS = 1_000_000_000
LATEST_NS = (1 << 63) - 1
"""The largest time on the wire."""
Key = tuple[int, int]
"""(epoch, index): the order of a stream's frames."""

CODEC = CborCodec()
"""The relay hands every message on as CBOR, whatever the device sent."""


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """One batch or gap, with the bytes that it came in."""

    epoch: int
    index: int
    """Index of the first frame."""
    count: int
    """Frames."""
    utc_ns: int
    """Time of the earliest frame: the first one, unless an irregular stream's times go back."""
    last_ns: int
    """Time of the latest frame."""
    is_gap: bool
    rate: Fraction | None
    """None if each frame has its own time."""
    payload: bytes

    @property
    def end(self) -> int:
        """The index after the last frame."""
        return self.index + self.count

    @property
    def key(self) -> Key:
        """Where it stands in the stream."""
        return self.epoch, self.index

    @property
    def frames(self) -> int:
        """How many frames it delivers: none if it is a gap."""
        return 0 if self.is_gap else self.count

    def message(self) -> Message:
        """The batch or gap; raises CodecError if the payload is none."""
        return CODEC.decode(self.payload)

    def first_from(self, moment_ns: int) -> int:
        """Index of the first frame at or after the moment; `end` if there is none."""
        if moment_ns <= self.utc_ns and (self.is_gap or self.rate is not None):
            return self.index
        if moment_ns > self.last_ns:
            return self.end
        if self.rate is None:
            return self.index + int((self._times() >= moment_ns).argmax())
        # floor(k * step) >= d for a whole d is the same as k >= d / step
        step = self.rate.denominator * NS
        return self.index - (-(moment_ns - self.utc_ns) * self.rate.numerator // step)

    def within(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """The smallest range of indices with all frames from `start_ns` to before `end_ns`; (end, end) if none."""
        if self.is_gap or self.rate is not None:
            first, last = self.first_from(start_ns), self.first_from(end_ns)
            return (first, last) if first < last else (self.end, self.end)
        times = self._times()
        inside = np.flatnonzero((times >= start_ns) & (times < end_ns))
        if not inside.size:
            return self.end, self.end
        return self.index + int(inside[0]), self.index + int(inside[-1]) + 1

    def part(self, start: int, end: int) -> HistoryRecord:
        """The frames [start, end) alone, encoded anew; the record itself if that is all of it."""
        if (start, end) == (self.index, self.end):
            return self
        message = self.message()
        if isinstance(message, Gap):
            gap = Gap(message.epoch, start, end - start, message.reason)
            return gap_record(gap, CODEC.encode(gap), self.time_of(start), self.rate)
        batch = part_of(message, start, end)
        return batch_record(batch, CODEC.encode(batch))

    def time_of(self, index: int) -> int:
        """UTC ns of a regular or lost frame, which may lie outside the record."""
        if self.rate is None:
            return self.utc_ns
        return self.utc_ns + (index - self.index) * NS * self.rate.denominator // self.rate.numerator

    def _times(self) -> NDArray[np.int64]:
        message = self.message()
        assert isinstance(message, Batch)
        return message.times_ns()


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A record that a query found, whole, and which of its frames were asked for: [start, end)."""

    record: HistoryRecord
    start: int
    end: int


def batch_record(batch: Batch, payload: bytes) -> HistoryRecord:
    """The record of a batch that came in these bytes."""
    if batch.offsets_ns is not None:
        first = batch.utc_ns + int(batch.offsets_ns.min())
        last = batch.utc_ns + int(batch.offsets_ns.max())
        return HistoryRecord(batch.epoch, batch.index, batch.frames, first, last, False, None, payload)
    rate = batch.rate or Fraction(1)
    last = batch.utc_ns + (batch.frames - 1) * NS * rate.denominator // rate.numerator
    return HistoryRecord(batch.epoch, batch.index, batch.frames, batch.utc_ns, last, False, rate, payload)


def gap_record(gap: Gap, payload: bytes, utc_ns: int, rate: Fraction | None) -> HistoryRecord:
    """The record of a gap whose frames would have been at this time and rate; None: all at that time.

    A gap may be any number of frames, so times beyond an int64 are cut off.
    """
    span = (gap.count - 1) * NS * rate.denominator // rate.numerator if rate is not None else 0
    first = min(max(utc_ns, -LATEST_NS), LATEST_NS)
    return HistoryRecord(gap.epoch, gap.index, gap.count, first, min(first + span, LATEST_NS), True, rate, payload)
