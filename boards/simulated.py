"""The simulated board: a BeagleBone Black's analogue inputs, with known signals on them.

It has the pins of the real one, so that a configuration moves from one to the other by the board's name alone.
What is on them is a pure function of the seed, the channel's options, the rate and the index of the frame;
`SimulatedBoard.expected()` computes it. A channel's options choose another signal than the pin's usual one
(see `signals/options.py`), as in `{signal = "ecg", heart_rate = 72}` or `{signal = "file", path = "ekg.txt"}`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from boards import signals
from boards.base import Board, Channel, Input, SourceRequest
from boards.errors import BadOption, LimitExceeded
from boards.faults import ClockStep, Drift, Fault, FaultBox, Overrun, Seconds, Stuck, parse_fault
from boards.options import Options, parse_options
from boards.simulated_source import Behaviour, Pins, SimulatedPolledSource, SimulatedSource
from boards.timeline import NS

MAXIMUM_SAMPLES = 200_000
"""Samples a second over all channels, as the AM335x's converter has it."""

PINS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("P9_39", {"signal": "ecg"}),
    ("P9_40", {"signal": "respiration"}),
    ("P9_37", {"signal": "sine"}),
    ("P9_38", {"signal": "ramp"}),
    ("P9_33", {"signal": "square"}),
    ("P9_36", {"signal": "noise"}),
    ("P9_35", {"signal": "sine", "frequency": 10.0}),
    ("AIN7", {"signal": "constant"}),
)
"""The pins in the order of AIN0 to AIN7, and what each carries."""


class SimulatedOptions(Options):
    """Options of the board."""

    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    """Chooses noise, breath and heart beats."""
    pace: Literal["realtime", "free"] = "realtime"
    """`free`: as fast as it is read; stamps are as if it were real time."""
    style: Literal["buffered", "polled"] = "buffered"
    """`polled`: read value by value, as Adafruit_BBIO does it, so that missed deadlines are late frames."""
    buffer: Seconds = Fraction(1)
    """What the simulated driver keeps for a slow reader, in seconds; beyond that the oldest are overrun."""
    faults: Sequence[Mapping[str, Any]] = ()
    """A schedule of what goes wrong (see `faults.py`)."""


class SimulatedBoard(Board):
    """The simulated board."""

    name = "simulated"
    summary = "a BeagleBone Black's ADC pins with simulated signals, and faults; needs no hardware"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.settings = parse_options(SimulatedOptions, self.options, "board 'simulated'")
        self._requested = FaultBox()
        self._made_ns = time.monotonic_ns()
        self._steps: list[tuple[int, int]] = []
        """When the wall clock is set, on CLOCK_MONOTONIC, and by how many ns."""
        scheduled = [
            self._checked(parse_fault(values, f"board 'simulated': faults[{number}]"))
            for number, values in enumerate(self.settings.faults)
        ]
        self._faults = [fault for fault in scheduled if not isinstance(fault, ClockStep)]
        for fault in scheduled:
            if isinstance(fault, ClockStep):
                self._step_clock(fault, self._made_ns + int(fault.at * NS))
        if (self.settings.style, self.settings.pace) == ("polled", "free"):
            raise BadOption("board 'simulated': pace: a polled source is paced by the clock; allowed: realtime")

    def inputs(self) -> Sequence[Input]:
        """The pins, in volts."""
        return [_input(number, pin, usual) for number, (pin, usual) in enumerate(PINS)]

    def maximum_rate(self, channels: int) -> Fraction:
        """What the real converter reaches in continuous mode."""
        return Fraction(MAXIMUM_SAMPLES, max(1, channels))

    def check(self, request: SourceRequest) -> None:
        """Refuse what cannot be done, a wrong option and a bad file included."""
        if request.rate is None or request.rate <= 0:
            raise LimitExceeded(f"board {self.name!r} needs a rate above 0 Hz; found {request.rate}")
        super().check(request)
        parse_options(Options, request.options, f"stream on board {self.name!r}")
        self._pins(request)

    def open_source(self, request: SourceRequest) -> SimulatedSource | SimulatedPolledSource:
        """A source of those channels; the caller opens it."""
        self.check(request)
        how = Behaviour(
            seed=self.settings.seed,
            free=self.settings.pace == "free",
            buffer=self.settings.buffer,
            faults=self._faults,
            requested=self._requested,
        )
        kind = SimulatedPolledSource if self.settings.style == "polled" else SimulatedSource
        return kind(request, self._pins(request), how)

    def inject(self, fault: Fault) -> None:
        """Make all open sources, or the wall clock, fail from now on. May be called from any thread."""
        if isinstance(fault, ClockStep):
            self._step_clock(fault, time.monotonic_ns())
        else:
            self._requested.put(self._checked(fault))

    def realtime_ns(self) -> int:
        """The wall clock, with the steps that it was told to make."""
        now_ns = time.monotonic_ns()
        return time.time_ns() + sum(step_ns for at_ns, step_ns in self._steps if at_ns <= now_ns)

    def replug(self) -> None:
        """End every `Unplug` that was injected. May be called from any thread."""
        self._requested.replug()

    def describe(self) -> dict[str, Any]:
        """Name, seed and how it runs."""
        settings = self.settings
        return {"name": self.name, "seed": settings.seed, "pace": settings.pace, "style": settings.style}

    def expected(self, request: SourceRequest, start: int, count: int) -> NDArray[np.int16]:
        """The frames [start, start + count) if nothing fails, shape (count, channels)."""
        return self._pins(request).frames(start, count)

    def signal(self, channel: Channel, rate: Fraction) -> signals.Signal:
        """What is on a channel's pin, such as an Ecg with its beat list. Raises BadOption, UnknownInput."""
        number = [known.name for known in self.inputs()].index(self.find_input(channel.input).name)
        where = f"channel {channel.name!r}"
        options = signals.parse_signal(channel.options, PINS[number][1], where)
        try:
            return options.build(signals.Pin(number, rate, self.settings.seed))
        except BadOption as error:
            raise BadOption(f"{where}: {error}") from error

    def _pins(self, request: SourceRequest) -> Pins:
        rate = request.rate or Fraction(1)
        on_pins = [self.signal(channel, rate) for channel in request.channels]
        return Pins(on_pins, [self.find_input(channel.input).name for channel in request.channels])

    def _step_clock(self, fault: ClockStep, at_ns: int) -> None:
        self._steps = [*self._steps, (at_ns, round(fault.seconds * NS))]

    def _checked(self, fault: Fault) -> Fault:
        """The fault, its input by the board's own name. Raises UnknownInput, BadOption."""
        if self.settings.style == "polled" and isinstance(fault, Overrun | Drift):
            raise BadOption(
                f"board 'simulated': fault {fault.kind!r} needs style 'buffered': a polled source has no driver's "
                f"buffer and no clock of its own; allowed: unplug, stall, stuck, jitter"
            )
        if isinstance(fault, Stuck):
            return fault.model_copy(update={"input": self.find_input(fault.input).name})
        return fault


def _input(number: int, pin: str, usual: Mapping[str, Any]) -> Input:
    return Input(
        name=pin,
        description=f"ADC input {number}; carries: {usual['signal']}",
        aliases=() if pin == f"AIN{number}" else (f"AIN{number}",),
        unit="V",
        scale=signals.VOLTS_PER_COUNT,
        bits=signals.BITS,
        minimum=0.0,
        maximum=signals.REFERENCE_V,
    )
