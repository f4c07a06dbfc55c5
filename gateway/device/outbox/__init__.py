"""The store between acquisition and publisher: bounded in bytes, and silent about nothing.

Whatever is put in is handed out until it is acknowledged, or it is declared lost in its own place in the stream.
"""

from __future__ import annotations

from gateway.device.outbox.outbox import Outbox
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
