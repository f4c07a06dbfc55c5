"""The simulated converter: the AM335x's ADC, 12 bits over 0 to 1.8 V."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 12
REFERENCE_V = 1.8
MAXIMUM = 2**BITS - 1
VOLTS_PER_COUNT = REFERENCE_V / MAXIMUM

Counts = NDArray[np.int16]
"""Raw values, 0 to 4095."""

Floats = NDArray[np.floating[Any]]


def quantise(volts: Floats) -> Counts:
    """The counts that the converter gives, clipped at its rails."""
    counts: Counts = np.rint(volts / VOLTS_PER_COUNT).clip(0, MAXIMUM).astype(np.int16)
    return counts
