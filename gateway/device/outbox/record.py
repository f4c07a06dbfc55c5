"""What goes into the outbox and what comes out. Pure data, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.codec import find_codec
from gateway.model import Gap, GapReason

Durability = Literal["spill", "always"]
"""`spill`: in memory, on disk when it has to wait. `always`: on disk, fsync, before it counts as acquired."""

Drop = Literal["oldest", "newest"]
"""What goes first when the outbox is full."""

RECORD_OVERHEAD = 128
"""Bytes that a record costs beside its payload: its other columns, its share of the page, its Python objects."""


@dataclass(frozen=True, slots=True)
class Record:
    """One encoded batch or gap of a stream, covering [index, index + count) of an epoch."""

    stream: str
    epoch: int
    index: int
    count: int
    payload: bytes
    reason: GapReason | None = None
    """Why the frames will never come; None for a batch."""
    codec: str = "cbor"
    """The codec of the payload: what is sent after a restart may be older than the configuration."""

    @property
    def end(self) -> int:
        """The index after the last frame."""
        return self.index + self.count

    @property
    def size(self) -> int:
        """What the record costs against the outbox's bounds, in bytes."""
        return len(self.payload) + RECORD_OVERHEAD


@dataclass(frozen=True, slots=True)
class Sending:
    """A record that was taken to be sent, and the token of this sending that `ack()` wants back."""

    token: int
    record: Record
    backlog: bool
    """Whether it comes from before an outage, and not from what is acquired now."""


@dataclass(frozen=True, slots=True)
class PreviousEpoch:
    """What is known of an earlier epoch of a stream when the device starts: it belongs into the birth message.

    Whatever of [0, reached) a consumer has not got, and is not in `backlog`, will never come: reason `crash`.
    """

    stream: str
    epoch: int
    reached: int
    """The index after the last frame known to have been acquired. A consumer may have seen more."""
    backlog: tuple[tuple[int, int], ...]
    """The half-open ranges of indices that are still in the outbox, and will be sent."""

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the birth message."""
        return {
            "stream": self.stream,
            "epoch": self.epoch,
            "reached": self.reached,
            "backlog": [list(part) for part in self.backlog],
        }


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """How an outbox is to behave; the defaults are right for a BeagleBone."""

    directory: Path | None = None
    """Where `outbox.db` is kept; None for memory alone."""
    durability: Durability = "spill"
    max_bytes: int = 256 << 20
    """Bound over memory and disk together."""
    drop: Drop = "oldest"
    memory_bytes: int = 8 << 20
    """Bound of what is held in memory; a quarter of `max_bytes` if that is less."""
    window: int = 64
    """How many records may be in flight; the publisher lowers it to the broker's receive-maximum."""
    window_bytes: int = 1 << 20
    """How many bytes may be in flight; one record always may."""
    backlog_share: float = 0.5
    """How much of the window the backlog may have while live data is sent beside it."""
    spill_after_s: float = 1.0
    """`spill`: how long a record may stay in memory alone without an acknowledgement."""
    group_s: float = 0.02
    """`always`: how long the first record of a commit waits for others."""
    retry_s: float = 1.0
    """How long to wait before a disk that could not be written is tried again; doubled each time."""
    mark_s: float = 10.0
    """How often it is noted how far each stream has got, for the next epoch's birth."""


@dataclass(frozen=True, slots=True)
class Counters:
    """The outbox at one moment, for the health message."""

    records: int
    """Waiting and in flight, in memory and on disk."""
    bytes: int
    memory_records: int
    memory_bytes: int
    disk_records: int
    disk_bytes: int
    in_flight: int
    in_flight_bytes: int
    oldest_s: float
    """Age of the oldest record that is not acknowledged; after a reboot, since the start."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Frames that the outbox itself declared lost since the start, by reason."""
    degraded: str | None = None
    """Why nothing can be written to disk at the moment; None if it can."""


EncodeGap = Callable[[Gap, str], bytes]
"""A gap in the codec of that name."""

OnEvent = Callable[[str, dict[str, Any]], None]
"""Called with `outbox_full`, `outbox_corrupt`, `outbox_degraded` or `outbox_recovered` and what is known of it.

From any thread that uses the outbox, with no lock held.
"""


def encode_gap(gap: Gap, codec: str) -> bytes:
    """The gap in one of the self-describing codecs."""
    return find_codec(codec).encode(gap)


def gap_record(stream: str, gap: Gap, codec: str, encode: EncodeGap) -> Record:
    """The gap as a record of that stream."""
    return Record(stream, gap.epoch, gap.index, gap.count, encode(gap, codec), gap.reason, codec)
