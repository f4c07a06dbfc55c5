"""The simulated board's sources: a driver with a buffer, and one that is polled. Both can be made to fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from boards.base import READ_PATIENCE_S, Block, Channel, LossReason, PolledSource, SampleSource, SourceRequest
from boards.errors import SourceLost
from boards.faults import (
    FOREVER,
    Drift,
    Fault,
    FaultBox,
    FaultPlan,
    Overrun,
    Stall,
    Unplug,
    first_frame,
    frame_after,
)
from boards.signals import Signal, random
from boards.timeline import NS, Course

PATIENCE_NS = int(READ_PATIENCE_S * NS)

JITTER = 1 << 34
"""Purpose of random numbers (see `signals/random.py`)."""


@dataclass(frozen=True)
class Pins:
    """What a source reads: a signal and an input's name for each channel."""

    signals: Sequence[Signal]
    inputs: Sequence[str]

    def frames(self, start: int, count: int) -> NDArray[np.int16]:
        """The frames [start, start + count), shape (count, channels)."""
        frames = np.empty((count, len(self.signals)), dtype=np.int16)
        for column, signal in enumerate(self.signals):
            frames[:, column] = signal.counts(start, count)
        return frames

    def frames_with_faults(self, start: int, count: int, plan: FaultPlan) -> NDArray[np.int16]:
        """The same, with inputs that are stuck."""
        frames = self.frames(start, count)
        for held, stuck in plan.stuck:
            rows = slice(max(held.start - start, 0), max(held.stop - start, 0))
            for column, name in enumerate(self.inputs):
                if name == stuck:
                    frames[rows, column] = self.signals[column].counts(max(held.start - 1, 0), 1)
        return frames


@dataclass(frozen=True)
class Behaviour:
    """How a board's sources run and fail."""

    seed: int
    free: bool
    """As fast as they are read."""
    buffer: Fraction
    """Seconds of frames that the driver keeps for a slow reader."""
    faults: Sequence[Fault]
    requested: FaultBox


class FaultState:
    """The faults of one source, from its frame 0 on: those scheduled, and those requested since."""

    def __init__(self, how: Behaviour, rate: Fraction) -> None:
        self._how = how
        self._rate = rate
        self._seen = how.requested.count()
        self.plan = FaultPlan(rate)
        for fault in how.faults:
            self.plan.add(self._as_planned(fault, requested=False), first_frame(fault, rate))

    def take_requests(self, frame_at: Callable[[int], int]) -> list[tuple[int, Fault]]:
        """Add what was newly requested; `frame_at` says which frame a fault at that time meets first."""
        new = self._how.requested.since(self._seen)
        self._seen += len(new)
        placed = [(frame_at(request.at_ns), request.fault) for request in new]
        for first, fault in placed:
            self.plan.add(self._as_planned(fault, requested=True), first)
        return placed

    def raise_if_unplugged(self) -> None:
        """Raises SourceLost while the board is gone by request."""
        if self._how.requested.unplugged():
            raise SourceLost("the simulated board is unplugged")

    def _as_planned(self, fault: Fault, requested: bool) -> Fault:
        """The fault in terms of frames alone.

        A board that was unplugged by request is back when `raise_if_unplugged` says so. At free pace a stall takes
        no time; what is left of it is what exceeds the driver's buffer.
        """
        if isinstance(fault, Unplug) and requested and not (self._how.free and fault.duration):
            return Unplug(duration=Fraction(0))
        if isinstance(fault, Stall) and self._how.free:
            excess = max(Fraction(0), fault.duration - self._how.buffer)
            return Overrun.model_construct(frames=int(excess * self._rate))
        return fault


class SimulatedSource(SampleSource):
    """Frames from a simulated driver, which samples by itself and keeps a bounded number of frames."""

    dtype = np.int16

    _next: int
    _course: Course
    _faults: FaultState
    _lost_while_gone: int

    def __init__(self, request: SourceRequest, pins: Pins, how: Behaviour) -> None:
        super().__init__(request)
        self._pins = pins
        self._how = how
        self._rate = request.rate or Fraction(1)
        self._block_frames = max(1, request.block_frames)
        self._capacity = max(self._block_frames, int(how.buffer * self._rate))
        self._gone = False
        self._begin(0)

    def open(self) -> None:
        """Start sampling at frame 0, or go on after the board was gone. Raises SourceLost while it still is."""
        self._faults.raise_if_unplugged()
        if not self._gone:
            self._begin(time.monotonic_ns())
            return
        back = self._frame_after_outage()
        self._plan.end_outages(back)
        self._lost_while_gone = back - self._next
        self._next = back
        self._gone = False

    def read(self) -> Block:
        """The next block; the losses before it are those of the driver's buffer and of the faults."""
        if self._lost_while_gone:
            lost, self._lost_while_gone = self._lost_while_gone, 0
            return self._block(self._next, 0, lost, "unplugged")
        due = self._wait()
        gone = self._plan.outage(self._next).start
        taken = min(due, gone)
        first = self._next if self._how.free else max(self._next, taken - self._capacity)
        span = self._plan.span(first, self._block_frames)
        first = min(span.first, taken)
        end = min(max(first, span.end), taken)
        lost = first - self._next
        if first == end == gone < due and not lost:
            self._gone = True
            raise SourceLost("the simulated board was unplugged")
        self._next = end
        return self._block(first, end - first, lost, "overrun")

    @property
    def _plan(self) -> FaultPlan:
        return self._faults.plan

    def _begin(self, start_ns: int) -> None:
        self._next = 0
        self._lost_while_gone = 0
        self._faults = FaultState(self._how, self._rate)
        self._course = Course(start_ns, self._rate)
        for fault in self._how.faults:
            self._set_clock(fault, first_frame(fault, self._rate))

    def _block(self, first: int, count: int, lost: int, reason: LossReason) -> Block:
        frames = self._pins.frames_with_faults(first, count, self._plan)
        now = time.monotonic_ns()
        stamp = self._course.due_ns(first) if count or self._how.free else now
        if count and (jitter := self._plan.jitter_ns(first)):
            late = int(jitter * random.uniform(self._how.seed, JITTER, first, 1)[0])
            stamp = stamp + late if self._how.free else min(stamp + late, now)
        return Block(frames, stamp, lost, reason)

    def _wait(self) -> int:
        """Sleep until a block is there, or patience ends. The number after the newest frame that is due then."""
        if self._how.free:
            self._take_requests()
            return FOREVER
        patience_ends = time.monotonic_ns() + PATIENCE_NS
        self._take_requests()
        span = self._plan.span(self._next, self._block_frames)
        self._sleep_until(span.end if span.gone_at_end else span.end - 1, patience_ends)
        self._take_requests()
        due = self._course.frames_due(time.monotonic_ns())
        stall_end = self._plan.stall_end(due - 1)
        if stall_end is None:
            return due
        self._sleep_until(stall_end, patience_ends)
        due = self._course.frames_due(time.monotonic_ns())
        return due if due > stall_end else self._next

    def _sleep_until(self, frame: int, patience_ends: int) -> None:
        wait = min(self._course.due_ns(frame), patience_ends) - time.monotonic_ns()
        if wait > 0:
            time.sleep(wait / NS)

    def _frame_after_outage(self) -> int:
        """The first frame that is taken again. Raises SourceLost if the board is not back yet."""
        back = (
            self._plan.outage(self._next).stop if self._how.free else self._course.frames_due(time.monotonic_ns())
        )
        if back == FOREVER or back in self._plan.outage(back):
            raise SourceLost("the simulated board is unplugged")
        return back

    def _take_requests(self) -> None:
        for first, fault in self._faults.take_requests(self._frame_at):
            self._set_clock(fault, first)

    def _frame_at(self, now_ns: int) -> int:
        return self._next if self._how.free else max(self._next, self._course.frames_due(now_ns))

    def _set_clock(self, fault: Fault, first: int) -> None:
        if isinstance(fault, Drift):
            self._course.change(first, fault.applied_to(self._rate))
            end = frame_after(fault, first, self._rate)
            if end < FOREVER:
                self._course.change(end, self._rate)


class SimulatedPolledSource(PolledSource):
    """The same pins read value by value, as Adafruit_BBIO does it."""

    dtype = np.int16

    def __init__(self, request: SourceRequest, pins: Pins, how: Behaviour) -> None:
        super().__init__(request)
        self._pins = pins
        self._how = how
        self._faults = FaultState(how, self._timeline.rate)

    def open(self) -> None:
        """Begin at frame 0, or go on after the board was gone. Raises SourceLost while it still is."""
        self._faults.raise_if_unplugged()
        if not self._away:
            self._faults = FaultState(self._how, self._timeline.rate)
        elif not self._is_back():
            raise SourceLost("the simulated board is unplugged")
        super().open()

    def read_frame(self) -> Sequence[int]:
        """One value of each channel, unless a fault is in the way."""
        self._faults.raise_if_unplugged()
        frame, plan = self.next_frame, self._faults.plan
        self._faults.take_requests(lambda at_ns: max(frame, self._timeline.frames_due(at_ns)))
        if frame in plan.outage(frame):
            raise SourceLost("the simulated board was unplugged")
        if (stall_end := plan.stall_end(frame)) is not None:
            self._sleep_until(self._timeline.due_ns(stall_end))
        if jitter := plan.jitter_ns(frame):
            late = int(jitter * random.uniform(self._how.seed, JITTER, frame, 1)[0])
            self._sleep_until(self.next_due_ns + late)
        row: list[int] = self._pins.frames_with_faults(frame, 1, plan)[0].tolist()
        return row

    def read_raw(self, channel: Channel) -> int:
        """The value of one channel."""
        return self.read_frame()[self.request.channels.index(channel)]

    def _is_back(self) -> bool:
        plan, newest = self._faults.plan, self._timeline.frames_due(time.monotonic_ns()) - 1
        if newest in plan.outage(newest):
            return False
        plan.end_outages(newest)
        return True

    def _sleep_until(self, at_ns: int) -> None:
        wait = at_ns - time.monotonic_ns()
        if wait > 0:
            time.sleep(wait / NS)
