"""Batches and gaps: by hand, and any that hypothesis can think of."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from gateway.model import GAP_REASONS, Batch, Gap, Message

TOP = (1 << 63) - 1
"""The largest epoch, index, count or time on the wire."""

DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


def batch(index: int, frames: int = 1, *, epoch: int = 1, columns: int = 1, rate: int = 500) -> Batch:
    """A batch whose values are the indices of its frames."""
    values = np.arange(index, index + frames, dtype=np.int64).astype(np.int16)
    time_ns = 1_700_000_000_000_000_000 + index * 1_000_000_000 // rate
    data = np.repeat(values.reshape(-1, 1), columns, axis=1)
    return Batch(epoch, index, time_ns, index * 1_000_000_000 // rate, data, rate=Fraction(rate))


def same(left: Message, right: Message) -> bool:
    """Whether they say the same; NaN equals NaN."""
    if isinstance(left, Gap) or isinstance(right, Gap):
        return left == right
    return _scalars(left) == _scalars(right) and _equal(left.data, right.data) and _equal(*_offsets(left, right))


def _scalars(batch: Batch) -> tuple[Any, ...]:
    return (
        batch.epoch,
        batch.index,
        batch.utc_ns,
        batch.monotonic_ns,
        batch.rate,
        batch.clock_error_ns,
        batch.revision,
        batch.offsets_ns is None,
    )


def _offsets(left: Batch, right: Batch) -> tuple[NDArray[Any], NDArray[Any]]:
    none = np.empty(0, dtype=np.int64)
    return (
        none if left.offsets_ns is None else left.offsets_ns,
        none if right.offsets_ns is None else right.offsets_ns,
    )


def _equal(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")


def gaps() -> st.SearchStrategy[Gap]:
    """Any gap."""
    ranges = st.integers(0, TOP - 1).flatmap(lambda index: st.tuples(st.just(index), st.integers(1, TOP - index)))
    return st.builds(
        lambda epoch, where, reason: Gap(epoch, where[0], where[1], reason),
        st.integers(0, TOP),
        ranges,
        st.sampled_from(sorted(GAP_REASONS)),
    )


def samples() -> st.SearchStrategy[NDArray[Any]]:
    """Any frames x channels that can be sent."""
    shapes = st.tuples(st.integers(1, 12), st.integers(1, 5))
    return st.sampled_from(DTYPES).flatmap(lambda dtype: npst.arrays(dtype, shapes))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Any batch, regular or irregular."""
    data = draw(samples())
    irregular = draw(st.booleans())
    offsets = draw(npst.arrays(np.int64, len(data), elements=st.integers(-(10**15), 10**15)))
    rates = st.fractions(min_value=Fraction(1, 10**6), max_value=10**6, max_denominator=10**6)
    return Batch(
        epoch=draw(st.integers(0, TOP)),
        index=draw(st.integers(0, TOP - len(data))),
        utc_ns=draw(st.integers(-(1 << 62), 1 << 62)),
        monotonic_ns=draw(st.integers(-TOP, TOP)),
        data=data,
        rate=None if irregular else draw(rates),
        clock_error_ns=draw(st.none() | st.integers(0, TOP)),
        offsets_ns=offsets if irregular else None,
        revision=draw(st.integers(0, TOP)),
    )


def messages() -> st.SearchStrategy[Message]:
    """Any batch or gap."""
    return st.one_of(gaps(), batches())
