"""The rhythm of the simulated patient: breath, and a heart whose rate follows it.

The rate has the two bands of McSharry et al. 2003 (see `ecg.py`): the slow Mayer waves near 0.1 Hz and the
respiratory sinus arrhythmia at the breath's frequency. Where the paper makes the RR intervals by an inverse
Fourier transform of that spectrum, here a few tones drawn from it modulate the pulse frequency (the integral
pulse frequency model), so that the phase of the heart at any time is one formula and nothing need be integrated
from the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from boards.signals import random
from boards.signals.adc import Counts, Floats, quantise

Seconds = Floats

BREATH, MAYER = 1 << 32, 1 << 33
"""Purposes of random numbers (see `random.py`), apart from those of pins."""

MAYER_HZ = 0.1
MAYER_TONES = 6
BAND_HZ = 0.01
"""Standard deviation of both bands of the paper."""
LF_HF_RATIO = 0.5
"""Power of the slow band over that of the breath's band, as in the paper."""

BREATH_SIDEBANDS = 6
BREATH_SIDEBAND_AMPLITUDE = 0.12
"""Each, relative to the breath's main tone: no two breaths are alike, and none fades away."""

START_PHASE = 0.5
"""Beats. The signal begins between two beats."""


@dataclass(frozen=True)
class Tones:
    """A sum of cosines; each array has one element for each of them."""

    frequencies: Floats
    amplitudes: Floats
    phases: Floats

    def at(self, t: Seconds) -> Floats:
        """The sum at each time."""
        total = np.zeros(len(t))
        for f, a, p in self._each():
            total += a * np.cos(2 * np.pi * f * t + p)
        return total

    def integral(self, t: Seconds) -> Floats:
        """Its integral from 0 to each time, in seconds."""
        total = np.zeros(len(t))
        for f, a, p in self._each():
            total += a / (2 * np.pi * f) * (np.sin(2 * np.pi * f * t + p) - np.sin(p))
        return total

    def scaled(self, factor: float) -> Tones:
        """The same, so many times as large."""
        return Tones(self.frequencies, self.amplitudes * factor, self.phases)

    def __add__(self, other: Tones) -> Tones:
        return Tones(
            np.concatenate([self.frequencies, other.frequencies]),
            np.concatenate([self.amplitudes, other.amplitudes]),
            np.concatenate([self.phases, other.phases]),
        )

    @property
    def deviation(self) -> float:
        """Its standard deviation."""
        return float(np.sqrt((self.amplitudes**2).sum() / 2))

    def _each(self) -> zip[tuple[float, float, float]]:
        return zip(self.frequencies, self.amplitudes, self.phases, strict=True)


def _band(seed: int, purpose: int, centre: float, tones: int) -> Tones:
    drawn = random.normal(seed, purpose, 0, tones)
    phases = random.uniform(seed, purpose, tones, tones)
    frequencies = np.maximum(centre + BAND_HZ * drawn, centre / 2)
    return Tones(frequencies, np.ones(tones), 2 * np.pi * phases)


def breath(seed: int, frequency: float) -> Tones:
    """The breath of the patient of that seed: amplitude about 1, at `frequency` Hz."""
    sidebands = _band(seed, BREATH, frequency, BREATH_SIDEBANDS).scaled(BREATH_SIDEBAND_AMPLITUDE)
    return Tones(np.array([frequency]), np.array([1.0]), np.array([0.0])) + sidebands


@dataclass(frozen=True)
class Heart:
    """When it beats: at the times at which `phase` is a whole number."""

    rate_hz: float
    """Mean beats a second."""
    modulation: Tones
    """Relative deviation of the rate from its mean."""

    @classmethod
    def of(cls, seed: int, heart_rate: float, deviation: float, breath_hz: float) -> Heart:
        """The heart of the patient of that seed; heart rate and its standard deviation in beats a minute."""
        fast, slow = breath(seed, breath_hz), _band(seed, MAYER, MAYER_HZ, MAYER_TONES)
        relative = deviation / heart_rate
        share = LF_HF_RATIO / (1 + LF_HF_RATIO)
        modulation = fast.scaled(relative * (1 - share) ** 0.5 / fast.deviation) + slow.scaled(
            relative * share**0.5 / slow.deviation
        )
        return cls(heart_rate / 60, modulation)

    def phase(self, t: Seconds) -> Floats:
        """Beats since the start; whole at each R peak."""
        return START_PHASE + self.rate_hz * (t + self.modulation.integral(t))

    def rate(self, t: Seconds) -> Floats:
        """Beats a second at each time: the derivative of `phase`."""
        return self.rate_hz * (1 + self.modulation.at(t))

    def beats(self, until_s: float) -> Seconds:
        """The times of the R peaks in [0, until_s), in seconds after frame 0."""
        last = int(np.floor(self.phase(np.array([until_s], dtype=np.float64))[0]))
        number = np.arange(1, last + 1)
        t = (number - START_PHASE) / self.rate_hz
        for _ in range(50):
            step = (number - self.phase(t)) / self.rate(t)
            t = t + step
            if not np.any(np.abs(step) > 1e-12 * (1 + until_s)):
                break
        return t[t < until_s]


class Respiration:
    """What a belt around the chest gives: amplitude and offset in volts at the pin."""

    def __init__(self, tones: Tones, rate: Fraction, amplitude: float, offset: float) -> None:
        self._tones = tones
        self._rate = rate
        self._amplitude = amplitude
        self._offset = offset

    def counts(self, start: int, count: int) -> Counts:
        """The values at the frames [start, start + count)."""
        volts = self._offset + self._amplitude * self._tones.at(frame_times(start, count, self._rate))
        return quantise(volts)


def frame_times(start: int, count: int, rate: Fraction) -> Seconds:
    """Seconds after frame 0 of the frames [start, start + count)."""
    return np.arange(start, start + count, dtype=np.int64) * rate.denominator / rate.numerator
