"""Blocks to batches and gaps. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boards.base import Block
from gateway.model import Batch, Gap, GapReason, Message, frame_offsets_ns


@dataclass(frozen=True, slots=True)
class Stamp:
    """One instant on the wall clock, and how far it can be trusted."""

    utc_ns: int
    error_ns: int | None
    """Bound of the error; None while the clock is not synchronised."""


class Batcher:
    """Numbers the frames of one stream and cuts them into batches of one size.

    A loss ends the batch before it, so that every batch is consecutive frames.
    """

    def __init__(
        self,
        *,
        epoch: int,
        rate: Fraction,
        batch_frames: int,
        stamp: Callable[[int], Stamp],
        revision: int = 1,
    ) -> None:
        self._epoch = epoch
        self._rate = rate
        self._batch_frames = batch_frames
        self._stamp = stamp
        self._revision = revision
        self._pieces: list[NDArray[Any]] = []
        self._pending = 0
        self._first_ns = 0
        self.index = 0
        """The index of the next frame."""

    def add(self, block: Block) -> list[Message]:
        """What the block completes, in order."""
        messages = self.lose(block.lost, block.reason) if block.lost else []
        frames, offsets = block.frames, frame_offsets_ns(self._rate, len(block.frames))
        start = 0
        while start < len(frames):
            if not self._pieces:
                self._first_ns = block.monotonic_ns + int(offsets[start])
            piece = frames[start : start + self._batch_frames - self._pending]
            self._pieces.append(piece)
            self._pending += len(piece)
            start += len(piece)
            if self._pending == self._batch_frames:
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
        data = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
        stamp = self._stamp(self._first_ns)
        batch = Batch(
            epoch=self._epoch,
            index=self.index,
            utc_ns=stamp.utc_ns,
            monotonic_ns=self._first_ns,
            data=data,
            rate=self._rate,
            clock_error_ns=stamp.error_ns,
            revision=self._revision,
        )
        self.index += batch.frames
        self._pieces = []
        self._pending = 0
        return [batch]
