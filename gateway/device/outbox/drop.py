"""Which records go when there is no room, and the gaps that take their places. Pure.

Memory and disk hold the same kind of thing in the same order, so both ask here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from gateway.model import Gap, GapReason


@dataclass(frozen=True, slots=True)
class Span:
    """A record without its payload, as far as dropping is concerned."""

    place: int
    """Its number in the order of the store."""
    stream: str
    epoch: int
    index: int
    count: int
    reason: GapReason | None
    codec: str
    size: int
    pinned: bool = False
    """It may not be touched: it is being sent, or it may have arrived already."""


@dataclass(slots=True)
class Run:
    """Adjacent records that become one gap, `outbox_full`, in the place of the first."""

    place: int
    stream: str
    epoch: int
    index: int
    count: int
    codec: str
    batches: int = 0
    """How many batches go."""
    frames: int = 0
    """How many frames those batches had."""
    batch_bytes: int = 0
    gap_bytes: int = 0
    """Sizes of what goes, the first included."""
    members: list[int] = field(default_factory=list)
    """The places of what goes, the first included."""

    @property
    def end(self) -> int:
        """The index after the last frame."""
        return self.index + self.count

    @property
    def gap(self) -> Gap:
        """What is declared."""
        return Gap(self.epoch, self.index, self.count, "outbox_full")


def plan(spans: Iterable[Span], excess: int, what: Literal["batches", "gaps"]) -> list[Run]:
    """Choose from the oldest on until `excess` bytes are freed, or nothing is left to choose.

    `batches`: batches become gaps, merged with adjacent gaps of the same reason; gaps with another reason keep it.
    `gaps`: adjacent gaps become one whatever their reasons, for when the gaps themselves are too many.
    """
    runs: list[Run] = []
    latest: dict[tuple[str, int], Run] = {}
    for span in spans:
        if excess <= 0:
            break
        key = (span.stream, span.epoch)
        if span.pinned or not _may_join(span, what):
            latest.pop(key, None)
            continue
        run = latest.get(key)
        joins = run is not None and run.end == span.index
        if run is None or not joins:
            run = latest[key] = Run(span.place, span.stream, span.epoch, span.index, 0, span.codec)
            runs.append(run)
        _join(run, span)
        if span.reason is None or joins:
            excess -= span.size
    return [run for run in runs if run.batches or len(run.members) > 1]


def _may_join(span: Span, what: Literal["batches", "gaps"]) -> bool:
    if what == "gaps":
        return span.reason is not None
    return span.reason is None or span.reason == "outbox_full"


def _join(run: Run, span: Span) -> None:
    run.count += span.count
    run.members.append(span.place)
    if span.reason is None:
        run.batches += 1
        run.frames += span.count
        run.batch_bytes += span.size
    else:
        run.gap_bytes += span.size
