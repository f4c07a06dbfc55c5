"""What is on the simulated board's pins: pure functions of seed, options, rate and a frame's index."""

from boards.signals.adc import BITS, MAXIMUM, REFERENCE_V, VOLTS_PER_COUNT, Counts
from boards.signals.ecg import Ecg
from boards.signals.options import KINDS, EcgOptions, Pin, SignalOptions, parse_signal
from boards.signals.waves import Signal

__all__ = [
    "BITS",
    "KINDS",
    "MAXIMUM",
    "REFERENCE_V",
    "VOLTS_PER_COUNT",
    "Counts",
    "Ecg",
    "EcgOptions",
    "Pin",
    "Signal",
    "SignalOptions",
    "parse_signal",
]
