"""What came of each stream, kept for those who come late and those who come back.

The original bytes, bounded in memory by time and bytes, on disk by bytes; every query is exact.
"""

from __future__ import annotations

from gateway.relay.history.disk import DiskTier
from gateway.relay.history.history import EpochEnd, HistoryLimits, Page, Resume, StreamHistory
from gateway.relay.history.queries import THE_END
from gateway.relay.history.record import Excerpt, HistoryRecord, Key, batch_record, gap_record
from gateway.relay.history.store import HistoryStore, Metas

__all__ = [
    "THE_END",
    "DiskTier",
    "EpochEnd",
    "Excerpt",
    "HistoryLimits",
    "HistoryRecord",
    "HistoryStore",
    "Key",
    "Metas",
    "Page",
    "Resume",
    "StreamHistory",
    "batch_record",
    "gap_record",
]
