"""What came of each stream, kept for those who come late and those who come back.

The original bytes, bounded in memory by time and bytes, on disk by bytes; every query is exact.
"""

from __future__ import annotations

from gateway.relay.history.history import EpochEnd, HistoryLimits, Resume, StreamHistory
from gateway.relay.history.record import Excerpt, HistoryRecord, Key, batch_record, gap_record

__all__ = [
    "EpochEnd",
    "Excerpt",
    "HistoryLimits",
    "HistoryRecord",
    "Key",
    "Resume",
    "StreamHistory",
    "batch_record",
    "gap_record",
]
