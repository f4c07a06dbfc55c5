"""Blocks to batches and gaps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from boards.base import Block
from gateway.device.clocks import Moment
from gateway.model import Batch, Gap, GapReason, Message


class FrameClock(Protocol):
    """Says when frames were taken: see gateway/device/clocks.py."""

    def seen(self, index: int, monotonic_ns: int) -> None:
        """A block's first frame has that index and that stamp."""

    def at(self, index: int, monotonic_ns: int) -> Moment:
        """When the frame of that index was taken; its stamp was `monotonic_ns`."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """How a stream is cut into batches."""

    rate: Fraction | None
    """None for irregular streams."""
    frames: int
    """Most frames a batch holds."""
    period_ns: int
    """Irregular streams: a batch ends at the latest so long after its first frame."""
    revision: int = 1


class Batcher:
    """Numbers the frames of one stream and cuts them into batches.

    A loss ends the batch before it, so that every batch is consecutive frames.
    """

    def __init__(self, epoch: int, plan: BatchPlan, clock: FrameClock) -> None:
        self._epoch = epoch
        self._plan = plan
        self._clock = clock
        self._pieces: list[NDArray[Any]] = []
        self._times: list[NDArray[np.int64]] = []
        self._pending = 0
        self._first_ns = 0
        self.index = 0
        """The index of the next frame."""

    def add(self, block: Block) -> list[Message]:
        """What the block completes, in order."""
        messages = self.lose(block.lost, block.reason) if block.lost else []
        frames = block.frames
        times = self._times_of(block) if self._plan.rate is None else None
        if len(frames):
            self._clock.seen(self.index + self._pending, block.monotonic_ns)
        start = 0
        while start < len(frames):
            if not self._pieces:
                self._first_ns = self._time_of(block, start)
            end = min(len(frames), start + self._plan.frames - self._pending)
            self._pieces.append(frames[start:end])
            if times is not None:
                self._times.append(times[start:end])
            self._pending += end - start
            start = end
            if self._pending == self._plan.frames:
                messages += self.flush()
        if self._plan.rate is None and block.monotonic_ns - self._first_ns >= self._plan.period_ns:
            messages += self.flush()
        return messages

    def lose(self, count: int, reason: GapReason) -> list[Message]:
        """Declare the next `count` frames lost."""
        messages = self.flush()
        messages.append(Gap(self._epoch, self.index, count, reason))
        self.index += count
        return messages

    def flush(self) -> list[Message]:
        """The frames that are still waiting, as a shorter batch."""
        if not self._pieces:
            return []
        moment = self._clock.at(self.index, self._first_ns)
        batch = Batch(
            epoch=self._epoch,
            index=self.index,
            utc_ns=moment.utc_ns,
            monotonic_ns=moment.monotonic_ns,
            data=_joined(self._pieces),
            rate=self._plan.rate,
            clock_error_ns=moment.error_ns,
            offsets_ns=_joined(self._times) - self._first_ns if self._plan.rate is None else None,
            revision=self._plan.revision,
        )
        self.index += batch.frames
        self._pieces, self._times = [], []
        self._pending = 0
        return [batch]

    def _time_of(self, block: Block, frame: int) -> int:
        """CLOCK_MONOTONIC of one frame of the block."""
        rate = self._plan.rate
        if rate is None:
            return block.monotonic_ns + (0 if block.offsets_ns is None else int(block.offsets_ns[frame]))
        return block.monotonic_ns + frame * 1_000_000_000 * rate.denominator // rate.numerator

    def _times_of(self, block: Block) -> NDArray[np.int64]:
        """CLOCK_MONOTONIC of each frame of an irregular stream."""
        if block.offsets_ns is None:
            return np.full(len(block.frames), block.monotonic_ns, np.int64)
        return block.monotonic_ns + block.offsets_ns


def _joined(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
