"""Random numbers that depend on seed, purpose and position alone, whatever was drawn before.

Philox is a counter-based generator (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
SC 2011). Only its raw 64-bit words are used: they are the same in all versions of numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boards.signals.adc import Floats

WORDS_PER_STEP = 4
"""Philox 4x64 makes four words of one value of its counter."""
MEAN_TOTAL = 2.0 - 2.0 / 65536.0
"""Mean of the sum of four numbers out of 0, 1/65536 ... 65535/65536."""


def words(seed: int, purpose: int, start: int, count: int) -> NDArray[np.uint64]:
    """The 64-bit words [start, start + count) of the sequence of a seed and a purpose."""
    skipped = start % WORDS_PER_STEP
    philox = np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64))
    philox.advance(start // WORDS_PER_STEP)
    return philox.random_raw(skipped + count)[skipped:]


def uniform(seed: int, purpose: int, start: int, count: int) -> Floats:
    """Numbers in [0, 1)."""
    return (words(seed, purpose, start, count) >> np.uint64(11)) * 2.0**-53


def normal(seed: int, purpose: int, start: int, count: int) -> Floats:
    """Nearly normal numbers of mean 0 and variance 1: the sum of four uniform ones, so within 3.5 of 0."""
    quarters = words(seed, purpose, start, count).view(np.uint16).reshape(count, 4)
    total = quarters.sum(axis=1, dtype=np.int64) / 65536.0
    return np.asarray((total - MEAN_TOTAL) * 3**0.5)
