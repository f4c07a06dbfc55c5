"""The store between acquisition and publisher: bounded in bytes, and silent about nothing.

Whatever is put in is handed out until it is acknowledged, or it is declared lost in its own place in the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.device.outbox.record import (
    Counters,
    Drop,
    Durability,
    EncodeGap,
    OnEvent,
    OutboxSettings,
    PreviousEpoch,
    Record,
    Sending,
    encode_gap,
)

__all__ = [
    "Counters",
    "Drop",
    "Durability",
    "EncodeGap",
    "OnEvent",
    "Outbox",
    "OutboxSettings",
    "PreviousEpoch",
    "Record",
    "Sending",
    "encode_gap",
]


class Outbox(Protocol):
    """What acquisition and publisher use; every method may be called from any thread."""

    def start(self) -> None:
        """Start the thread that works on the disk; it opens the file first. Before it, nothing is written."""

    def previous(self, timeout: float | None = None) -> list[PreviousEpoch] | None:
        """What is known of earlier epochs; waits for the file to be open, None if it is not in time."""

    def newest_epoch(self, timeout: float | None = None) -> int:
        """The newest epoch that the file knows, 0 if none: the next one has to be above it."""

    def put(self, record: Record) -> None:
        """Take a record in. Waits for nothing; what does not fit is declared lost as `drop` says."""

    def connected(self, window: int | None = None) -> None:
        """The broker is there: what is on disk is the backlog now. `window` is its receive-maximum."""

    def release_all(self) -> None:
        """The broker went away: all in flight is to be sent again, and everything goes to disk."""

    def take(self, timeout: float = 0.0) -> Sending | None:
        """The next record to send, live before backlog; None if there is none in time or the window is full."""

    def ack(self, token: int) -> None:
        """The broker has it: forget it. A token that was released meanwhile is ignored."""

    def counters(self) -> Counters:
        """The state for the health message."""

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything put so far is on disk (`always`: counts as acquired); False if not in time."""

    def on_committed(self, callback: Callable[[list[Record]], None]) -> None:
        """Call back with what a commit has just put on disk."""

    def close(self) -> None:
        """Write everything that is not acknowledged to disk, and let the file go."""
