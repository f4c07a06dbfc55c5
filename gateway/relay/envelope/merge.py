"""Batches that follow each other as one: a pyramid takes many frames as fast as a few. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from gateway.model import Batch, Gap, Message

CONTINUITY_NS = 1_000_000
"""How far from where the rate says a batch may begin that follows another."""


def merged(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages, those batches as one that follow each other: a pyramid takes many frames as fast as a few."""
    run: list[Batch] = []
    for message in messages:
        if run and (isinstance(message, Gap) or not _follows(run[-1], message)):
            yield _joined(run)
            run = []
        if isinstance(message, Gap):
            yield message
        else:
            run.append(message)
    if run:
        yield _joined(run)


def _follows(last: Batch, batch: Batch) -> bool:
    if last.rate is None or batch.offsets_ns is not None or last.rate != batch.rate:
        return False
    if (last.epoch, last.end) != (batch.epoch, batch.index) or last.data.dtype != batch.data.dtype:
        return False
    due_ns = last.utc_ns + last.frames * 1_000_000_000 * last.rate.denominator // last.rate.numerator
    return last.data.shape[1] == batch.data.shape[1] and abs(batch.utc_ns - due_ns) < CONTINUITY_NS


def _joined(run: list[Batch]) -> Batch:
    return run[0] if len(run) == 1 else replace(run[0], data=np.concatenate([batch.data for batch in run]))
