"""A synthetic electrocardiogram.

P. E. McSharry, G. D. Clifford, L. Tarassenko, L. A. Smith: "A dynamical model for generating synthetic
electrocardiogram signals", IEEE Transactions on Biomedical Engineering 50(3), 289-294, 2003. A point runs round
the unit circle once for each beat; on its way it passes five events, which pull its height z up or down, and z
relaxes to a baseline that moves with the breath (equation 1):

    dz/dt = - sum over i of a_i dtheta_i exp(-dtheta_i^2 / (2 b_i^2)) - (z - z0(t))

On the limit cycle the angle is the phase of the heart, which `heart.py` gives at any time. What is left is linear
in z and forgets its past by a factor e a second, so z is integrated by itself in segments, each from a start so
long before that nothing is left of it: the value at a frame depends on the frame's number only.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from boards.signals.adc import Counts, Floats, quantise
from boards.signals.heart import Heart, Seconds, Tones, frame_times

EVENTS = {
    "P": (-np.pi / 3, 1.2, 0.25),
    "Q": (-np.pi / 12, -5.0, 0.1),
    "R": (0.0, 30.0, 0.1),
    "S": (np.pi / 12, -7.5, 0.1),
    "T": (np.pi / 2, 0.75, 0.4),
}
"""Table I of the paper: angle theta_i in radians, strength a_i, width b_i."""

BASELINE_MV = 0.15
"""Amplitude of z0, as in the paper."""

FRONT_END_GAIN = 400.0
FRONT_END_LEVEL_V = 0.9
"""The simulated amplifier between the electrodes and the pin: 1 mV of ECG is 0.4 V, and 0 mV is in the middle of
the converter's range. So mV = raw * 0.001098901 - 2.25."""

GRID_S = 1e-3
"""Step of the integration; the R wave's flank takes about ten."""
SEGMENT_S = 32
RUN_IN_S = 32
"""exp(-32) of the past is left: far below what 12 bits can show."""
KEPT_SEGMENTS = 2


class Ecg:
    """The ECG at a pin, after the front end; `gain` in volts at the pin for a millivolt, `level` in volts."""

    def __init__(self, heart: Heart, breathing: Tones, rate: Fraction, gain: float, level: float) -> None:
        self.heart = heart
        self._baseline = breathing.scaled(BASELINE_MV)
        self._rate = rate
        self._gain = gain
        self._level = level
        self._strength = 1.0 / _r_wave(heart.rate_hz)
        self._segments: dict[int, tuple[Floats, Floats]] = {}

    def counts(self, start: int, count: int) -> Counts:
        """The values at the frames [start, start + count)."""
        times = frame_times(start, count, self._rate)
        numbers = (times // SEGMENT_S).astype(np.int64)
        pieces = [self._in_segment(int(number), times[numbers == number]) for number in np.unique(numbers)]
        return quantise(self._level + self._gain * np.concatenate([np.empty(0), *pieces]))

    def _in_segment(self, number: int, times: Seconds) -> Floats:
        """z by cubic Hermite interpolation: the slope at the grid's points is known exactly."""
        z, slope = self._segment(number)
        place = (times - number * SEGMENT_S) / GRID_S
        at = np.minimum(place.astype(np.int64), len(z) - 2)
        x = place - at
        left, right = z[at], z[at + 1]
        rise = right - left
        bend_left, bend_right = slope[at] * GRID_S - rise, rise - slope[at + 1] * GRID_S
        return np.asarray(left + x * rise + x * (1 - x) * ((1 - x) * bend_left + x * bend_right))

    def _segment(self, number: int) -> tuple[Floats, Floats]:
        if number not in self._segments:
            while len(self._segments) >= KEPT_SEGMENTS:
                del self._segments[min(self._segments)]
            self._segments[number] = self._integrate(number)
        return self._segments[number]

    def _integrate(self, number: int) -> tuple[Floats, Floats]:
        steps = np.arange(round((RUN_IN_S + SEGMENT_S) / GRID_S) + 1)
        t = number * SEGMENT_S - RUN_IN_S + steps * GRID_S
        drive = self._strength * _pull(self.heart.phase(t), self.heart.rate_hz) + self._baseline.at(t)
        z = relax(drive, GRID_S)
        kept = slice(round(RUN_IN_S / GRID_S), None)
        return z[kept], (drive - z)[kept]


def relax(drive: Floats, step_s: float) -> Floats:
    """The solution of dz/dt = drive - z from z = 0, by the trapezoidal rule on exp(t) drive(t)."""
    growth = np.exp(np.arange(len(drive)) * step_s)
    grown = growth * drive
    area = np.concatenate([[0.0], np.cumsum((grown[1:] + grown[:-1]) * (step_s / 2))])
    return np.asarray(area / growth)


def _pull(phase: Floats, rate_hz: float) -> Floats:
    """The sum over the events, at phases in beats.

    Widths grow with the square root of the heart rate, and the angles of P and T with its fourth root, as in the
    paper: so the QT interval follows Bazett's rule.
    """
    stretch = rate_hz**0.5
    total = np.zeros_like(phase)
    for angle, strength, width in EVENTS.values():
        place = angle * stretch if abs(angle) < np.pi / 6 else angle * stretch**0.5
        turn = phase - place / (2 * np.pi)
        apart = 2 * np.pi * (turn - np.rint(turn))
        total -= strength * apart * np.exp(-(apart**2) / (2 * (width * stretch) ** 2))
    return total


def _r_wave(rate_hz: float) -> float:
    """Height of the model's R wave over its baseline at a steady rate: a millivolt, once divided by this."""
    beats = 12
    t = np.arange(0, beats / rate_hz, GRID_S)
    z = relax(_pull(t * rate_hz, rate_hz), GRID_S)
    last = z[t > (beats - 2) / rate_hz]
    return float(last.max() - np.median(last))
