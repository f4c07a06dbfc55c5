"""What travels from the pin to the pixel. Pure data, no I/O.

A *frame* is one value for each channel of a stream at one instant; its *index* counts from 0 within an
*epoch*, one unbroken run of the acquisition. A `Batch` is consecutive frames; a `Gap` is a range of indices
that will never come, and why. Within an epoch each index is covered exactly once, by one batch or one gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

GapReason = Literal["overrun", "late", "unplugged", "outbox_full", "crash", "undecodable", "slow"]
GAP_REASONS: frozenset[str] = frozenset(get_args(GapReason))

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of a stream: physical = raw * scale + offset, in `unit`."""

    name: str
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    input: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """An ordered set of channels sampled together: what the retained `meta` says."""

    device: str
    name: str
    channels: tuple[Channel, ...]
    rate: Fraction | None
    """Frames a second, exact; None if each frame has its own time (irregular)."""
    dtype: str = "int16"
    """numpy's name of the samples' type."""
    codec: str = "cbor"
    revision: int = 1

    @property
    def key(self) -> str:
        """`device/stream`: how people and the API name it."""
        return f"{self.device}/{self.name}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive frames of one stream."""

    epoch: int
    index: int
    """Index of the first frame."""
    utc_ns: int
    """Time of the first frame, ns since 1970-01-01 UTC."""
    monotonic_ns: int
    """The same instant on the device's CLOCK_MONOTONIC."""
    data: NDArray[Any]
    """Shape (frames, channels), raw values."""
    rate: Fraction | None = None
    clock_error_ns: int | None = None
    """Bound of the error of `utc_ns`; None while the clock is not synchronised."""
    offsets_ns: NDArray[np.int64] | None = None
    """Irregular streams only: each frame's time after `utc_ns`, shape (frames,)."""
    revision: int = 1
    """The revision of `meta` that the batch was made under."""

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return int(self.data.shape[0])

    @property
    def end(self) -> int:
        """The index after the last frame."""
        return self.index + self.frames

    def times_ns(self) -> NDArray[np.int64]:
        """UTC ns of each frame, shape (frames,)."""
        if self.offsets_ns is not None:
            return self.utc_ns + self.offsets_ns
        return self.utc_ns + frame_offsets_ns(self.rate or Fraction(1), self.frames)


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames that will never come: [index, index + count) of an epoch, and why."""

    epoch: int
    index: int
    count: int
    reason: GapReason

    @property
    def end(self) -> int:
        """The index after the last missing frame."""
        return self.index + self.count


Message = Batch | Gap
"""What a stream's `batch` topic carries."""


def frame_offsets_ns(rate: Fraction, count: int) -> NDArray[np.int64]:
    """Time of each of `count` frames after the first, in ns, exact to the nanosecond at any rational rate.

    Raises OverflowError if the last one is more than an int64 holds: 292 years.
    """
    step = 1_000_000_000 * rate.denominator
    if step * count < 1 << 63 and rate.numerator < 1 << 63:
        return np.arange(count, dtype=np.int64) * step // rate.numerator
    return np.array([frame * step // rate.numerator for frame in range(count)], dtype=np.int64)
