"""When each frame is due: exact integer arithmetic, for any rational rate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """Frame k is due at start + k / rate, on CLOCK_MONOTONIC."""

    start_ns: int
    rate: Fraction
    """Frames a second."""

    def due_ns(self, frame: int) -> int:
        """When a frame is due, rounded up to a nanosecond, so that it is due then."""
        return self.start_ns - (-frame * NS * self.rate.denominator // self.rate.numerator)

    def frames_due(self, now_ns: int) -> int:
        """How many frames are due by that time: the first is at the start itself."""
        if now_ns < self.start_ns:
            return 0
        return (now_ns - self.start_ns) * self.rate.numerator // (NS * self.rate.denominator) + 1
