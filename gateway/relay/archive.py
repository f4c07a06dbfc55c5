"""What came of every stream, kept: the recent at hand in the loop, all of it behind a thread that has the disk.

The loop never waits for a disk. What it takes is in memory at once, and goes to the thread in parcels; whatever
cannot be answered from memory is asked in that thread, after what was taken before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gateway.account import IntervalSet
from gateway.relay.delivery import Delivery
from gateway.relay.disk_thread import DiskThread
from gateway.relay.history import HistoryLimits, HistoryRecord, HistoryStore, Key, Metas, StreamHistory

log = logging.getLogger(__name__)

PARCEL_S = 0.25
"""How long what was taken may wait for the thread; a relay that is killed asks the devices for it."""
WAITING_BYTES = 64 << 20
"""How much may wait for a disk that does not write; what is more is kept in memory alone."""
EPOCHS = 16
"""How many epochs of a stream are taken over from an earlier relay."""
CLOSE_S = 5.0
"""How long the disk may take to close its files."""

Answer = TypeVar("Answer")
Question = Callable[[StreamHistory], Answer]


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier relay left of a stream."""

    stream: str
    metas: Metas
    epochs: dict[int, tuple[IntervalSet, int]]
    """What is held of each of the last ones, and from where on what is missing counts."""


class Archive:
    """The histories of all streams. Without a directory, in memory alone. Make it in the loop."""

    def __init__(self, limits: HistoryLimits, directory: Path | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._directory = directory
        self._recent = HistoryStore(None, limits)
        self._deep: HistoryStore | None = None
        self._thread = DiskThread("history") if directory is not None else None
        self._metas: dict[str, Metas] = {}
        self._begin: dict[str, Key] = {}
        """By stream, how far an earlier relay had come."""
        self._taken: list[tuple[str, Delivery]] = []
        """Messages that have not been put in their places yet."""
        self._parcel: list[tuple[str, HistoryRecord]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_bytes = 0
        self.unwritten = 0
        """Messages that were not written, because the disk did not keep up."""

    async def open(self) -> list[Known]:
        """Read what an earlier relay left, and say what it is. Raises OSError."""
        if self._thread is None:
            return []
        return await self._loop.run_in_executor(self._thread, self._open)

    async def close(self) -> None:
        """Write what waits and close the files."""
        if self._thread is None:
            return
        self._send_parcel()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._loop.run_in_executor(self._thread, self._close)
        except TimeoutError:
            log.warning("history: the disk does not answer; what was not written is lost to the next start")
        self._thread.shutdown(wait=False, cancel_futures=True)

    def take(self, stream: str, delivery: Delivery) -> None:
        """Keep a message that was not there before; many are put in their places together, which is cheaper."""
        self._taken.append((stream, delivery))
        if self._timer is None:
            self._timer = self._loop.call_later(PARCEL_S, self._send_parcel)

    def end_epoch(self, stream: str, epoch: int, end: int, following: int) -> None:
        """The epoch had `end` frames, and `following` came next."""
        self._place()
        self._recent.of(stream).end_epoch(epoch, end, following)
        if self._deep is not None and self._thread is not None:
            self._thread.submit(self._end_epoch, stream, epoch, end, following)

    def keep_metas(self, stream: str, metas: Metas) -> None:
        """Keep the descriptions that the batches were made under."""
        if self._thread is not None and self._metas.get(stream) != metas:
            self._metas[stream] = dict(metas)
            self._thread.submit(self._keep_metas, stream, dict(metas))

    def recent(self, stream: str) -> StreamHistory:
        """What is in memory; complete from `complete_from` on."""
        self._place()
        return self._recent.find(stream) or StreamHistory(self._limits)

    def complete_from(self, stream: str) -> Key:
        """From here on everything that is held is in memory."""
        if self._thread is None:
            return 0, 0
        return max(self._begin.get(stream, (0, 0)), self.recent(stream).memory.floor)

    def whole(self, stream: str) -> bool:
        """Whether nothing of the stream is in memory alone, beside what the thread has not got to yet."""
        disk = self._deep.disk(stream) if self._deep is not None else None
        return disk is not None and not self.unwritten and not disk.faults.unwritten

    async def ask(self, stream: str, question: Question[Answer]) -> Answer:
        """Put a question to all that is held of a stream; it must not keep what it is given."""
        if self._thread is not None:
            self._send_parcel()
            answer = await self._loop.run_in_executor(self._thread, self._answer, stream, question)
            if answer is not None:
                return answer[0]
        return question(self.recent(stream))

    async def work(self, work: Callable[[], Answer]) -> Answer:
        """Go on with what an answer began, such as reading from an iterator."""
        if self._thread is None:
            return work()
        return await self._loop.run_in_executor(self._thread, work)

    # To the thread

    def _place(self) -> None:
        """Put what was taken into the memory, before anybody looks at it."""
        taken, self._taken = self._taken, []
        for stream, delivery in taken:
            record = _record_of(delivery, self._recent.of(stream))
            self._recent.add(stream, record)
            if self._thread is not None:
                self._parcel.append((stream, record))

    def _send_parcel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._place()
        parcel, self._parcel = self._parcel, []
        if not parcel or self._thread is None:
            return
        size = sum(len(record.payload) for _, record in parcel)
        if self._waiting_bytes + size > WAITING_BYTES:
            if not self.unwritten:
                log.warning("history: the disk does not keep up; what comes now is kept in memory alone")
            self.unwritten += len(parcel)
            return
        self._waiting_bytes += size
        written = self._loop.run_in_executor(self._thread, self._write, parcel)
        written.add_done_callback(lambda _: self._written(size))

    def _written(self, size: int) -> None:
        self._waiting_bytes -= size

    # In the thread

    def _open(self) -> list[Known]:
        self._deep = HistoryStore(self._directory, replace(self._limits, memory_bytes=0))
        known = []
        for stream in self._deep.streams:
            history = self._deep.of(stream)
            if history.newest is not None:
                self._begin[stream] = history.newest
            epochs = {epoch: (history.covered(epoch), history.since(epoch)) for epoch in history.epochs[-EPOCHS:]}
            known.append(Known(stream, self._deep.metas(stream), epochs))
        return known

    def _write(self, parcel: list[tuple[str, HistoryRecord]]) -> None:
        assert self._deep is not None
        for stream, record in parcel:
            self._deep.add(stream, record)

    def _end_epoch(self, stream: str, epoch: int, end: int, following: int) -> None:
        assert self._deep is not None
        self._deep.of(stream).end_epoch(epoch, end, following)

    def _keep_metas(self, stream: str, metas: Metas) -> None:
        assert self._deep is not None
        self._deep.keep_metas(stream, metas)

    def _answer(self, stream: str, question: Question[Answer]) -> tuple[Answer] | None:
        """None if nothing of the stream is on disk."""
        assert self._deep is not None
        history = self._deep.find(stream)
        if history is None or history.disk is None:
            return None
        return (question(history),)

    def _close(self) -> None:
        assert self._deep is not None
        self._deep.close()


def _record_of(delivery: Delivery, history: StreamHistory) -> HistoryRecord:
    """Without taking the message apart, where that is possible."""
    span = delivery.span
    if span.reason is None and delivery.rate is not None:
        assert delivery.utc_ns is not None
        assert delivery.last_utc_ns is not None
        return HistoryRecord(
            span.epoch,
            span.index,
            span.count,
            delivery.utc_ns,
            delivery.last_utc_ns,
            False,
            delivery.rate,
            delivery.payload,
        )
    return history.record_of(delivery.message, delivery.payload, time.time_ns())
