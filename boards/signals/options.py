"""What may be on a simulated pin: one set of options for each signal, and the way from options to the signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from boards.errors import BadOption
from boards.options import Options, did_you_mean, parse_options
from boards.signals import datalog, waves
from boards.signals.adc import REFERENCE_V
from boards.signals.ecg import FRONT_END_GAIN, FRONT_END_LEVEL_V, Ecg
from boards.signals.heart import Heart, Respiration, breath
from boards.signals.waves import Signal

Level = Annotated[float, Field(ge=0, le=REFERENCE_V)]
"""Volts at the pin."""
Frequency = Annotated[float, Field(gt=0, le=1e6)]
"""Hz."""

MIDDLE_V = REFERENCE_V / 2


@dataclass(frozen=True, slots=True)
class Pin:
    """What a signal has to know beside its own options."""

    number: int
    rate: Fraction
    """Frames a second."""
    seed: int
    """The board's."""


class SignalOptions(Options):
    """What all signals have in common."""

    signal: str

    def build(self, pin: Pin, /) -> Signal:
        """The signal on that pin."""
        raise NotImplementedError


class ConstantOptions(SignalOptions):
    """A level that never changes."""

    signal: Literal["constant"]
    offset: Level = MIDDLE_V

    def build(self, pin: Pin, /) -> Signal:
        """The signal on that pin."""
        return waves.periodic(waves.ramp, pin.rate, pin.rate, 0.0, self.offset)


class WaveOptions(SignalOptions):
    """A wave: `frequency` in Hz, `amplitude` and `offset` in volts at the pin."""

    signal: Literal["sine", "ramp", "square"]
    frequency: Frequency = 1.0
    amplitude: Level = 0.8
    offset: Level = MIDDLE_V

    def build(self, pin: Pin, /) -> Signal:
        """The signal on that pin."""
        shape, frequency = waves.SHAPES[self.signal], Fraction(repr(self.frequency))
        return waves.periodic(shape, frequency, pin.rate, self.amplitude, self.offset)


class NoiseOptions(SignalOptions):
    """Noise: `amplitude` is its standard deviation."""

    signal: Literal["noise"]
    amplitude: Level = 0.1
    offset: Level = MIDDLE_V

    def build(self, pin: Pin, /) -> Signal:
        """The signal on that pin."""
        return waves.Noise(pin.seed, pin.number, self.amplitude, self.offset)


class BreathingOptions(SignalOptions):
    """A breathing patient: all signals of one board and breath rate are of the same one."""

    breath_rate: Annotated[float, Field(ge=4, le=60)] = 15.0
    """Breaths a minute."""


class RespirationOptions(BreathingOptions):
    """The breath, in phase with the ECG's arrhythmia and baseline."""

    signal: Literal["respiration"]
    amplitude: Level = 0.4
    offset: Level = MIDDLE_V

    def build(self, pin: Pin, /) -> Signal:
        """The signal on that pin."""
        return Respiration(breath(pin.seed, self.breath_rate / 60), pin.rate, self.amplitude, self.offset)


class EcgOptions(BreathingOptions):
    """An ECG: rates in beats a minute, `amplitude` the R wave in volts at the pin."""

    signal: Literal["ecg"]
    heart_rate: Annotated[float, Field(ge=20, le=240)] = 60.0
    heart_rate_deviation: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Standard deviation of the heart rate."""
    amplitude: Level = FRONT_END_GAIN / 1000
    offset: Level = FRONT_END_LEVEL_V

    @model_validator(mode="after")
    def _heart_never_runs_backwards(self) -> Self:
        if self.heart_rate_deviation > self.heart_rate / 5:
            raise ValueError("heart_rate_deviation must be at most a fifth of heart_rate")
        return self

    def build(self, pin: Pin, /) -> Ecg:
        """The signal on that pin."""
        breath_hz = self.breath_rate / 60
        heart = Heart.of(pin.seed, self.heart_rate, self.heart_rate_deviation, breath_hz)
        return Ecg(heart, breath(pin.seed, breath_hz), pin.rate, self.amplitude, self.offset)


class FileOptions(SignalOptions):
    """A recorded file (see `datalog.py`)."""

    signal: Literal["file"]
    path: Path
    column: str | int | None = None
    """Name or number, counted from 1, of a CSV column."""
    loop: bool = True
    """Begin again at the end; else the last value stays."""
    fit: bool = False
    """Stretch the recording's range over the converter's."""

    def build(self, _pin: Pin, /) -> Signal:
        """The signal on that pin."""
        return datalog.Playback(datalog.load(self.path, self.column, self.fit), self.loop)


KINDS: Mapping[str, type[SignalOptions]] = {
    "ecg": EcgOptions,
    "respiration": RespirationOptions,
    "sine": WaveOptions,
    "ramp": WaveOptions,
    "square": WaveOptions,
    "noise": NoiseOptions,
    "constant": ConstantOptions,
    "file": FileOptions,
}


def parse_signal(values: Mapping[str, Any], usual: Mapping[str, Any], where: str) -> SignalOptions:
    """A channel's options; `usual` is what its pin carries if they name no other signal. Raises BadOption."""
    kind = values.get("signal", usual["signal"])
    if kind not in KINDS:
        near = did_you_mean(str(kind), list(KINDS))
        raise BadOption(f"{where}: signal: found {kind!r}; allowed: {', '.join(KINDS)}{near}")
    wanted = {**usual, **values} if kind == usual["signal"] else {"signal": kind, **values}
    return parse_options(KINDS[kind], wanted, where)
