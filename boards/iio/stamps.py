"""Numbering frames by the time stamps that the kernel gave them. Pure: arrays in, arrays out.

A jump of k periods is k - 1 lost frames. A stamp may be late, when the interrupt that took it was, but it is
never early. So a frame counts as following a loss only if all later ones are as late as it is: the minimum
over the later stamps, not each stamp, is compared with the time at which the frame was due.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CONFIRM = 32
"""How many frames after a jump must be as late before it is believed."""

CERTAINTY = 0.25
"""How much of a period the clock may be ahead of the earliest stamps; more, and late stamps look like losses."""

FOLLOW_FRAMES = 32
FOLLOW_PHASE = 0.3
FOLLOW_PERIOD = 0.05
"""How much of the least lateness among so many frames the clock takes over: it follows the device's own clock."""


class StampClock:
    """The due time of each frame, followed by the stamps; and which numbers are missing."""

    def __init__(self, period_ns: float) -> None:
        self.period_ns = period_ns
        self.index = 0
        """The number of the next frame."""
        self._next_ns: float | None = None
        self._least = np.inf
        self._advanced = 0.0
        self._followed = 0
        self._in_phase = False

    def wants_fresh(self, _now_ns: int) -> bool:
        """Whether the reader should wait for each arrival, not for a block: only for the first one."""
        return self._next_ns is None

    def time_ns(self, index: float) -> int:
        """CLOCK_MONOTONIC at which the frame of that number was due."""
        assert self._next_ns is not None
        return round(self._next_ns + (index - self.index) * self.period_ns)

    def number(self, stamps: NDArray[np.int64], hold: bool = True) -> NDArray[np.int64]:
        """The numbers of the frames with these stamps (ns), shape (frames,).

        The last ones may be left out, if `hold`: they came late, and the next read will tell whether something
        was lost before them. Give them again with it.
        """
        if not len(stamps):
            return np.empty(0, np.int64)
        if self._next_ns is None:
            self._start(stamps)
        origin = self._next_ns or 0.0
        late = (stamps - np.int64(round(origin))) - np.arange(len(stamps)) * self.period_ns
        lasting = np.minimum.accumulate(late[::-1])[::-1]
        lost = np.maximum(0, np.floor(lasting / self.period_ns + CERTAINTY)).astype(np.int64)
        lost = np.maximum.accumulate(lost)
        known = self._known(lost) if hold else len(stamps)
        if not known:
            return np.empty(0, np.int64)
        numbers = self.index + np.arange(known) + lost[:known]
        self._follow(late[:known] - lost[:known] * self.period_ns, known, int(lost[known - 1]))
        return numbers

    def _start(self, stamps: NDArray[np.int64]) -> None:
        relative = (stamps - stamps[0]) - np.arange(len(stamps)) * self.period_ns
        self._next_ns = float(stamps[0]) + min(0.0, float(relative.min()))

    def _known(self, lost: NDArray[np.int64]) -> int:
        """How many of the frames have a certain number: those before a jump that too few frames confirm."""
        before_tail = lost[max(0, len(lost) - CONFIRM - 1)] if len(lost) > CONFIRM else 0
        return int(np.searchsorted(lost, before_tail, side="right"))

    def _follow(self, errors: NDArray[np.float64], frames: int, lost: int) -> None:
        assert self._next_ns is not None
        passed = frames + lost
        self.index += passed
        self._next_ns += passed * self.period_ns
        self._followed += passed
        least = float(errors.min())
        if least < 0:  # no stamp is early: the clock was late
            self._next_ns += least
            self._advanced += least
        self._least = min(self._least, max(0.0, least))
        if self._followed < FOLLOW_FRAMES:
            return
        self._next_ns += FOLLOW_PHASE * self._least
        if self._in_phase:
            self.period_ns += FOLLOW_PERIOD * (self._advanced or self._least) / self._followed
        self._in_phase = True
        self._least = np.inf
        self._advanced = 0.0
        self._followed = 0
