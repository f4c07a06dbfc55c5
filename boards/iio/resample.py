"""From the rate a converter runs at to the rate a stream asks for. Pure.

Many converters run at a rate of their own: the AM335x's is set by the device tree alone. Its frames carry
numbers of their own, gaps included; here they become the stream's frames, numbered at the stream's rate. A
stream's frame is there if all that it is made of is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from boards.base import Samples

Reduction = Literal["mean", "pick"]
"""`mean` of the frames within each period, rounded: less noise, less aliasing. `pick`: the first of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """Frames that follow each other without a gap, and the number of the first."""

    index: int
    frames: Samples
    """Shape (frames, channels)."""

    @property
    def end(self) -> int:
        """The number after the last frame."""
        return self.index + len(self.frames)


class Reducer:
    """Turns runs of device frames into runs of stream frames; stream frame k begins at device frame k * ratio."""

    def __init__(self, ratio: Fraction, reduction: Reduction) -> None:
        self.ratio = ratio
        """Device frames for each stream frame, at least 1."""
        self._mean = reduction == "mean"
        self._carry: Run | None = None

    def reduce(self, run: Run) -> Run | None:
        """The stream frames that `run` completes; the device frames left over wait for the next run."""
        if self.ratio == 1:
            return run
        whole = self._joined(run)
        first, last = self._complete(whole)
        if last <= first:
            self._carry = whole
            return None
        starts = self._starts(first, last + 1) - whole.index
        self._carry = Run(whole.index + int(starts[-1]), whole.frames[starts[-1] :])
        if not self._mean:
            return Run(first, whole.frames[starts[:-1]])
        sums = np.add.reduceat(whole.frames[: starts[-1]], starts[:-1], axis=0, dtype=np.int64)
        counts = np.diff(starts)[:, None]
        return Run(first, ((sums + counts // 2) // counts).astype(whole.frames.dtype))

    def centre(self, frame: int) -> Fraction:
        """Which device frame a stream frame's time is that of, in device frames."""
        begin = frame * self.ratio
        return begin + (self.ratio - 1) / 2 if self._mean else begin

    def _joined(self, run: Run) -> Run:
        carry = self._carry
        if carry is None or carry.end != run.index:
            return run
        return Run(carry.index, np.concatenate([carry.frames, run.frames]))

    def _complete(self, run: Run) -> tuple[int, int]:
        """[first, last) of the stream frames that lie wholly within the run."""
        first = (run.index - 1) // self.ratio + 1
        last = max(first, run.end // self.ratio)
        return first, last

    def _starts(self, first: int, last: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The device frame that each stream frame of [first, last) begins with."""
        numbers = np.arange(first, last, dtype=np.int64)
        return -((-numbers * self.ratio.numerator) // self.ratio.denominator)
