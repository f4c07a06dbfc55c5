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
from boards.base import READ_PATIENCE_S, Block, Board, Channel, Input, SampleSource, SourceRequest
from boards.errors import BadOption, LimitExceeded
from boards.options import Options, parse_options
from boards.timeline import NS, Timeline

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
    buffer_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """What the simulated driver keeps for a slow reader, in seconds; beyond that the oldest are overrun."""


class SimulatedBoard(Board):
    """The simulated board."""

    name = "simulated"
    summary = "a BeagleBone Black's seven ADC pins with simulated signals; needs no hardware"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.settings = parse_options(SimulatedOptions, self.options, "board 'simulated'")

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
        self.on_channels(request)

    def open_source(self, request: SourceRequest) -> SimulatedSource:
        """A source of those channels; the caller opens it."""
        self.check(request)
        return SimulatedSource(request, self)

    def describe(self) -> dict[str, Any]:
        """Name, seed and pace."""
        return {"name": self.name, "seed": self.settings.seed, "pace": self.settings.pace}

    def on_channels(self, request: SourceRequest) -> list[signals.Signal]:
        """What is on the request's channels. Raises BadOption, UnknownInput."""
        return [self._signal(channel, request.rate or Fraction(1)) for channel in request.channels]

    def expected(self, request: SourceRequest, start: int, count: int) -> NDArray[np.int16]:
        """The frames [start, start + count) without faults, shape (count, channels)."""
        return render(self.on_channels(request), start, count)

    def _signal(self, channel: Channel, rate: Fraction) -> signals.Signal:
        number = [known.name for known in self.inputs()].index(self.find_input(channel.input).name)
        where = f"channel {channel.name!r}"
        options = signals.parse_signal(channel.options, PINS[number][1], where)
        try:
            return options.build(signals.Pin(number, rate, self.settings.seed))
        except BadOption as error:
            raise BadOption(f"{where}: {error}") from error


class SimulatedSource(SampleSource):
    """Frames from a simulated driver, which samples on its own and keeps a bounded number of frames."""

    dtype = np.int16

    def __init__(self, request: SourceRequest, board: SimulatedBoard) -> None:
        super().__init__(request)
        self._signals = board.on_channels(request)
        self._rate = request.rate or Fraction(1)
        self._free = board.settings.pace == "free"
        self._capacity = max(1, request.block_frames, int(Fraction(board.settings.buffer_s) * self._rate))
        self._timeline = Timeline(0, self._rate)
        self._next = 0

    def open(self) -> None:
        """Start sampling, at frame 0."""
        self._timeline = Timeline(time.monotonic_ns(), self._rate)
        self._next = 0

    def read(self) -> Block:
        """The next block; losses before it are frames that were not read in time."""
        due = self._next + self.request.block_frames if self._free else self._wait()
        lost = max(0, due - self._next - self._capacity)
        first = self._next + lost
        count = min(due - first, self.request.block_frames)
        self._next = first + count
        frames = render(self._signals, first, count)
        return Block(frames, self._timeline.due_ns(first), lost, "overrun")

    def _wait(self) -> int:
        """Sleep until a block is there or patience ends; how many frames are due then."""
        now = time.monotonic_ns()
        full = self._timeline.due_ns(self._next + self.request.block_frames - 1)
        wait = min(full - now, int(READ_PATIENCE_S * NS))
        if wait > 0:
            time.sleep(wait / NS)
            now = time.monotonic_ns()
        return self._timeline.frames_due(now)


def render(pins: Sequence[signals.Signal], start: int, count: int) -> NDArray[np.int16]:
    """The frames [start, start + count) of those signals, shape (count, signals)."""
    frames = np.empty((count, len(pins)), dtype=np.int16)
    for column, signal in enumerate(pins):
        frames[:, column] = signal.counts(start, count)
    return frames


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
