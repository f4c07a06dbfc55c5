"""Signals that are a formula: sine, ramp, square, constant, noise.

Each is a pure function of the frame's index: the same values come whatever the block size and whatever was
read before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Protocol

import numpy as np

from boards.signals import random
from boards.signals.adc import Counts, Floats, quantise

LONGEST_TABLE = 1 << 16
"""Frames. A wave that repeats within so many is computed once; a longer one for each block."""

FINEST_CYCLE = 1 << 31
"""Largest denominator of a frequency in cycles a frame: products of two such fit 64 bits."""


class Signal(Protocol):
    """What is on one pin."""

    def counts(self, start: int, count: int) -> Counts:
        """The converter's values at the frames [start, start + count)."""


Shape = Callable[[Floats], Floats]
"""One cycle: phase in [0, 1) to a level in [-1, 1]."""


def sine(phase: Floats) -> Floats:
    """A sine that begins at its middle, rising."""
    return np.asarray(np.sin(2 * np.pi * phase))


def ramp(phase: Floats) -> Floats:
    """A rise from the lowest to the highest level, then a jump back."""
    return 2 * phase - 1


def square(phase: Floats) -> Floats:
    """High in the first half of the cycle, low in the second."""
    return np.where(phase < 0.5, 1.0, -1.0)


SHAPES: Mapping[str, Shape] = {"sine": sine, "ramp": ramp, "square": square}


class Table:
    """Counts that repeat for ever."""

    def __init__(self, cycle: Counts) -> None:
        self._cycle = cycle
        self._cycle.flags.writeable = False  # slices of it are handed out

    def counts(self, start: int, count: int) -> Counts:
        """The values at the frames [start, start + count)."""
        at = start % len(self._cycle)
        if at + count <= len(self._cycle):
            return self._cycle[at : at + count]
        return self._cycle[(at + np.arange(count)) % len(self._cycle)]


class Wave:
    """A shape, repeated `cycles_per_frame` times a frame, without the phase ever drifting."""

    def __init__(self, shape: Shape, cycles_per_frame: Fraction, amplitude: float, offset: float) -> None:
        self._shape = shape
        self._step = cycles_per_frame.numerator % cycles_per_frame.denominator
        self._frames = cycles_per_frame.denominator
        self._amplitude = amplitude
        self._offset = offset

    def counts(self, start: int, count: int) -> Counts:
        """The values at the frames [start, start + count)."""
        index = np.arange(start, start + count, dtype=np.int64) % self._frames
        phase = index * self._step % self._frames / self._frames
        return quantise(self._offset + self._amplitude * self._shape(phase))


def periodic(shape: Shape, frequency: Fraction, rate: Fraction, amplitude: float, offset: float) -> Signal:
    """The cheapest signal of that shape; frequency and rate in Hz, amplitude and offset in volts at the pin."""
    cycles_per_frame = (frequency / rate).limit_denominator(FINEST_CYCLE)
    wave = Wave(shape, cycles_per_frame, amplitude, offset)
    if cycles_per_frame.denominator > LONGEST_TABLE:
        return wave
    return Table(wave.counts(0, cycles_per_frame.denominator))


class Noise:
    """Uncorrelated, nearly normal noise; `amplitude` is its standard deviation in volts."""

    def __init__(self, seed: int, purpose: int, amplitude: float, offset: float) -> None:
        self._seed = seed
        self._purpose = purpose
        self._amplitude = amplitude
        self._offset = offset

    def counts(self, start: int, count: int) -> Counts:
        """The values at the frames [start, start + count)."""
        return quantise(self._offset + self._amplitude * random.normal(self._seed, self._purpose, start, count))
