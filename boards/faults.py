"""What can go wrong with the simulated board: when, for how long, and which frames it costs.

A fault is given by its kind and its own options, as `{kind = "overrun", at = "2s", frames = 37}`. `at` counts from
the source's first frame, on the source's own clock. A fault by request begins at once and needs no `at`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from boards.errors import BadOption
from boards.options import Options, did_you_mean, parse_options
from boards.timeline import NS

FOREVER = 2**62
"""Frames."""

_SECONDS: Mapping[str, Fraction | int] = {
    "": 1,
    "s": 1,
    "ms": Fraction(1, 1000),
    "us": Fraction(1, 10**6),
    "min": 60,
    "h": 3600,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def parse_seconds(value: Any) -> Fraction:
    """`2`, `0.5`, `"2s"`, `"100ms"` as exact seconds; raises ValueError saying what is allowed."""
    if isinstance(value, Fraction):
        return value
    found = _DURATION.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if found is None or found[2] not in _SECONDS:
        raise ValueError("a duration must be like 0.5, '2s', '100ms', '50us', '1min' or '1h'")
    return Fraction(found[1]) * _SECONDS[found[2]]


Seconds = Annotated[Fraction, BeforeValidator(parse_seconds)]


class Fault(Options):
    """What all faults have in common."""

    kind: str
    at: Seconds = Fraction(0)
    """Since the source's first frame."""


class Overrun(Fault):
    """The driver loses `frames` frames, however fast it is read."""

    kind: Literal["overrun"] = "overrun"
    frames: Annotated[int, Field(gt=0)]


class LastingFault(Fault):
    """A fault that is over after `duration`; without one it stays."""

    duration: Seconds | None = None


class Unplug(LastingFault):
    """The board is gone: reading and opening raise SourceLost; what was due meanwhile is lost."""

    kind: Literal["unplug"] = "unplug"


class Stall(LastingFault):
    """The driver hands nothing over; what exceeds its buffer meanwhile is overrun."""

    kind: Literal["stall"] = "stall"
    duration: Seconds


class Stuck(LastingFault):
    """An input stays at the value it had."""

    kind: Literal["stuck"] = "stuck"
    input: str


class Jitter(LastingFault):
    """Stamps are late by anything up to `amount`."""

    kind: Literal["jitter"] = "jitter"
    amount: Seconds


class Drift(LastingFault):
    """The board's sample clock runs fast by `ppm` (slow, if negative) against the host's."""

    kind: Literal["drift"] = "drift"
    ppm: Annotated[float, Field(ge=-100_000, le=100_000)]

    def applied_to(self, rate: Fraction) -> Fraction:
        """The true rate of a clock that is thought to run at `rate`."""
        return rate * (1 + Fraction(repr(self.ppm)) / 10**6)


class ClockStep(Fault):
    """The wall clock is set forward by `seconds`, back if negative; `at` counts from the board's making."""

    kind: Literal["clock_step"] = "clock_step"
    seconds: Annotated[float, Field(allow_inf_nan=False, ge=-4e9, le=4e9)]


KINDS: Mapping[str, type[Fault]] = {
    "overrun": Overrun,
    "unplug": Unplug,
    "stall": Stall,
    "stuck": Stuck,
    "jitter": Jitter,
    "drift": Drift,
    "clock_step": ClockStep,
}


def parse_fault(values: Mapping[str, Any], where: str) -> Fault:
    """One fault of a configuration. Raises BadOption."""
    kind = str(values.get("kind", "nothing"))
    if kind not in KINDS:
        near = did_you_mean(kind, list(KINDS))
        raise BadOption(f"{where}: kind: found {kind!r}; allowed: {', '.join(KINDS)}{near}")
    return parse_options(KINDS[kind], values, where)


@dataclass(frozen=True, slots=True)
class Span:
    """What comes next of a source: a loss up to `first`, then frames up to `end`."""

    first: int
    end: int
    gone_at_end: bool


class FaultPlan:
    """What faults do to the frames of one source. Knows frames only, no clock."""

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._overruns: list[range] = []
        self._outages: list[range] = []
        self._stalls: list[range] = []
        self._jitters: list[tuple[range, int]] = []
        self.stuck: list[tuple[range, str]] = []
        """Frames, and the input that is stuck there."""

    def add(self, fault: Fault, first: int) -> None:
        """A fault that begins at frame `first`. A drift is the clock's affair and changes nothing here."""
        frames = range(first, frame_after(fault, first, self._rate))
        match fault:
            case Overrun():
                self._overruns.append(range(first, first + fault.frames))
            case Unplug():
                self._outages.append(frames)
            case Stall():
                self._stalls.append(frames)
            case Stuck():
                self.stuck.append((frames, fault.input))
            case Jitter():
                self._jitters.append((frames, round(fault.amount * NS)))

    def span(self, frame: int, count: int) -> Span:
        """What to hand over next, from `frame` on and `count` frames at most."""
        gone = self.outage(frame).start
        first = frame
        while inside := [lost.stop for lost in self._overruns if first in lost]:
            first = max(inside)
        first = min(first, gone)
        ends = [lost.start for lost in self._overruns if lost.start > first]
        end = min([first + count, gone, *ends])
        return Span(first, end, gone_at_end=end == gone)

    def outage(self, frame: int) -> range:
        """The first outage that is not over before `frame`; it begins at FOREVER if there is none.

        Outages that overlap or touch are one. One of no frames is seen and costs nothing.
        """
        met = (gone for gone in self._outages if gone.stop > frame or gone.start >= frame)
        coming = sorted(met, key=lambda gone: gone.start)
        if not coming:
            return range(FOREVER, FOREVER)
        stop = coming[0].stop
        for gone in coming:
            stop = max(stop, gone.stop) if gone.start <= stop else stop
        return range(coming[0].start, stop)

    def end_outages(self, back: int) -> None:
        """The board is back from frame `back` on: what began before is over."""
        self._outages = [gone for gone in self._outages if gone.stop > back or gone.start > back]

    def stall_end(self, frame: int) -> int | None:
        """When the stall at `frame` is over; None if there is none."""
        return max((stall.stop for stall in self._stalls if frame in stall), default=None)

    def jitter_ns(self, frame: int) -> int:
        """By how much a stamp there may be late."""
        return max((amount for frames, amount in self._jitters if frame in frames), default=0)


def first_frame(fault: Fault, rate: Fraction) -> int:
    """The first frame that a scheduled fault meets."""
    return ceil(fault.at * rate)


def frame_after(fault: Fault, first: int, rate: Fraction) -> int:
    """The first frame after a fault that begins at `first`; FOREVER if it stays."""
    if isinstance(fault, LastingFault) and fault.duration is not None:
        return first + ceil(fault.duration * rate)
    return FOREVER


@dataclass(slots=True)
class RequestedFault:
    """A fault by request, and when it was requested, on CLOCK_MONOTONIC."""

    fault: Fault
    at_ns: int
    until_ns: int | None
    """None while it has no end."""


class FaultBox:
    """Faults by request: filled by any thread, looked into by the sources."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[RequestedFault] = []

    def put(self, fault: Fault) -> None:
        """Request a fault; it begins now."""
        now = time.monotonic_ns()
        lasts = fault.duration if isinstance(fault, LastingFault) else None
        with self._lock:
            self._requests.append(RequestedFault(fault, now, None if lasts is None else now + ceil(lasts * NS)))

    def replug(self) -> None:
        """End each requested unplugging."""
        now = time.monotonic_ns()
        with self._lock:
            for request in self._unpluggings():
                request.until_ns = min(now, request.until_ns or now)

    def count(self) -> int:
        """How many faults were requested so far."""
        return len(self._requests)

    def since(self, number: int) -> list[RequestedFault]:
        """Those requested after the first `number`."""
        with self._lock:
            return self._requests[number:]

    def unplugged(self) -> bool:
        """Whether the board is gone now, by request."""
        now = time.monotonic_ns()
        with self._lock:
            return any(request.until_ns is None or now < request.until_ns for request in self._unpluggings())

    def _unpluggings(self) -> Iterable[RequestedFault]:
        return [request for request in self._requests if isinstance(request.fault, Unplug)]
