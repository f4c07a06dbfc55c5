"""When each frame is due: exact integer arithmetic, for any rational rate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """Frame k is due at start + (k - first) / rate, on CLOCK_MONOTONIC."""

    start_ns: int
    rate: Fraction
    """Frames a second."""
    first: int = 0
    """The frame that is due at the start."""

    def due_ns(self, frame: int) -> int:
        """When a frame is due, rounded up to a nanosecond, so that it is due then."""
        return self.start_ns - (-(frame - self.first) * NS * self.rate.denominator // self.rate.numerator)

    def frames_due(self, now_ns: int) -> int:
        """The number after the newest frame that is due by that time; `first` before the start."""
        if now_ns < self.start_ns:
            return self.first
        past = (now_ns - self.start_ns) * self.rate.numerator // (NS * self.rate.denominator)
        return self.first + past + 1


class Course:
    """A timeline whose clock changes its speed at certain frames."""

    def __init__(self, start_ns: int, rate: Fraction) -> None:
        self._pieces = [Timeline(start_ns, rate)]

    def change(self, frame: int, rate: Fraction) -> None:
        """From that frame on the clock makes `rate` frames a second, until the next change after it."""
        points = {piece.first: piece.rate for piece in self._pieces} | {frame: rate}
        pieces = [Timeline(self._pieces[0].start_ns, points[self._pieces[0].first])]
        for first in sorted(points)[1:]:
            pieces.append(Timeline(pieces[-1].due_ns(first), points[first], first))
        self._pieces = pieces

    def due_ns(self, frame: int) -> int:
        """When a frame is due."""
        return next(piece for piece in reversed(self._pieces) if piece.first <= frame).due_ns(frame)

    def frames_due(self, now_ns: int) -> int:
        """The number after the newest frame that is due by that time."""
        begun = (piece for piece in reversed(self._pieces) if piece.start_ns <= now_ns)
        return next(begun, self._pieces[0]).frames_due(now_ns)
