"""From the history to the live feed without a seam: what a reader gets first, page by page, and where it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.account import IntervalSet, Range, StreamAccount
from gateway.model import Gap
from gateway.relay.archive import Archive
from gateway.relay.delivery import Delivery, Span
from gateway.relay.history import THE_END, Excerpt, Key, Page, StreamHistory

log = logging.getLogger(__name__)

PAGE_BYTES = 256 << 10
"""How much of the history is held for a reader at a time."""
MAXIMUM_MEANWHILE = 1000
"""How many messages may come for the place that is being read; if there are more, it is read again."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Begin with this frame."""

    epoch: int
    index: int


@dataclass(frozen=True, slots=True)
class LastSeconds:
    """Begin so long before the newest frame."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LastFrames:
    """Begin so many delivered frames before the end."""

    count: int


Start = Resume | LastSeconds | LastFrames


@dataclass(frozen=True, slots=True)
class Place:
    """Where a replay begins."""

    key: Key
    recovered: bool
    """Whether all from there to the present is held."""


def place_in(history: StreamHistory, start: Start) -> Place:
    """Where a start is in a history."""
    match start:
        case Resume(epoch, index):
            return Place((epoch, index), history.resume(epoch, index).recovered)
        case LastSeconds(seconds):
            newest = history.newest_ns()
            key = (0, 0) if newest is None else history.place(newest - int(seconds * 1e9) + 1)
        case LastFrames(count):
            first = next(history.last(count), None)
            key = (0, 0) if first is None else (first.record.epoch, first.start)
    return Place(key, history.resume(*key).recovered)


def place_at_hand(archive: Archive, stream: str, start: Start) -> Place | None:
    """The same from what is in memory; None if that does not reach back so far."""
    history, complete = archive.recent(stream), archive.complete_from(stream)
    place = place_in(history, start)
    if complete == (0, 0) or (isinstance(start, Resume) and place.key >= complete and history.newest is not None):
        return place
    before = next((part for part in history.page(*complete, 1).parts if isinstance(part, Excerpt)), None)
    reaches = before is not None and (before.record.epoch, before.start) < place.key
    return place if reaches and not isinstance(start, Resume) else None


async def place_of(archive: Archive, stream: str, start: Start) -> Place:
    """Where a start is in all that is held of the stream."""
    at_hand = place_at_hand(archive, stream, start)
    return at_hand if at_hand is not None else await archive.ask(stream, lambda history: place_in(history, start))


class Reader(Protocol):
    """Who reads a replay: a subscriber, most often."""

    def pump(self) -> None:
        """Go on reading."""

    def offer(self, delivery: Delivery) -> None:
        """Take what belongs to what was read already."""


class HistoryReplay:
    """The messages of one stream from a place on, until there are no more: a `Replay`.

    What the feed brings meanwhile is either read here later, or belongs to what was read already, and waits then
    in the subscriber's queue: nothing comes twice, and nothing not at all.
    """

    def __init__(
        self,
        archive: Archive,
        stream: str,
        start: Key,
        reader: Reader,
        accounts: Mapping[int, StreamAccount] | None = None,
        ordered_to: Callable[[], Key] | None = None,
    ) -> None:
        self._archive = archive
        self._stream = stream
        self._reader = reader
        self._accounts = accounts or {}
        """By epoch, what has come of the stream at all."""
        self._ordered_to = ordered_to
        """How far the feed has come, if it is one in order: what is missing before that has been given up."""
        self._settled = start
        """All before it has been read; what comes for it now is not ours."""
        self._page: deque[Delivery] = deque()
        self._asked: asyncio.Task[None] | None = None
        self._meanwhile: list[Delivery] | None = None
        """What came since the history's thread was asked, and is not in its answer."""
        self._last_page = False

    def next(self) -> Delivery | None:
        """The next message; None if there is none yet, or no more."""
        while not self._page and not self._last_page:
            if self._asked is not None or self._limit() < self._settled:
                return None
            if self._settled < self._archive.complete_from(self._stream):
                self._asked = asyncio.get_running_loop().create_task(self._ask())
                return None
            self._turn_to_recent()
        return self._page.popleft() if self._page else None

    @property
    def finished(self) -> bool:
        """Whether it has reached the feed."""
        return self._last_page and not self._page

    def brings(self, delivery: Delivery) -> bool:
        """Whether it will still come by what the feed brings now."""
        ordered = self._ordered_to is not None
        if self._last_page or (not ordered and _key(delivery) < self._settled):
            return False
        if ordered and self._asked is None and not self._page:
            asyncio.get_running_loop().call_soon(self._reader.pump)  # the feed may have reached the beginning
        if self._meanwhile is not None and len(self._meanwhile) <= MAXIMUM_MEANWHILE:
            self._meanwhile.append(delivery)
        return True

    def close(self) -> None:
        """It is not wanted any more."""
        self._last_page = True
        self._page.clear()
        if self._asked is not None:
            self._asked.cancel()

    async def _ask(self) -> None:
        self._meanwhile, place, limit = [], self._settled, self._limit()
        try:
            page = await self._archive.ask(self._stream, lambda history: history.page(*place, PAGE_BYTES))
        except OSError as error:
            log.warning("history: %s: %s", self._stream, error)
            page = Page([], False)
        meanwhile, self._meanwhile, self._asked = self._meanwhile, None, None
        if len(meanwhile) <= MAXIMUM_MEANWHILE:
            self._turn(page, limit)
            if self._settled == place:
                self._end(limit)
            for delivery in meanwhile:
                self._reader.offer(delivery)
        self._reader.pump()

    def _end(self, limit: Key) -> None:
        """There was no more when the thread was asked: what has come since then follows."""
        if not self._archive.whole(self._stream):
            self._turn_to_recent()
            return
        self._last_page = True
        if self._ordered_to is not None:
            self._give_up(*limit)

    def _turn_to_recent(self) -> None:
        page, limit = self._archive.recent(self._stream).page(*self._settled, PAGE_BYTES), self._limit()
        self._last_page = self._turn(page, limit) or not page.more
        if self._last_page and self._ordered_to is not None:
            self._give_up(*limit)

    def _turn(self, page: Page, limit: Key) -> bool:
        """Take a page; whether it reaches the limit."""
        for part in page.parts:
            epoch, start, end = part if isinstance(part, tuple) else (part.record.epoch, part.start, part.end)
            if (epoch, start) >= limit:
                return True
            if self._ordered_to is not None:
                self._give_up(epoch, start)
            if isinstance(part, Excerpt):
                self._page.append(delivery_of(part))
            elif self._ordered_to is not None:
                self._give_up(*min((epoch, end), limit))
            else:
                self._page.extend(_lost(epoch, *lost) for lost in self._never(epoch, start, end))
            self._settled = max(self._settled, (epoch, end))
        return False

    def _limit(self) -> Key:
        """Where the feed goes on by itself: what is before that in an ordered feed is in the history by now."""
        return THE_END if self._ordered_to is None else self._ordered_to()

    def _never(self, epoch: int, start: int, end: int) -> list[Range]:
        """What of a range that is not held will never come: not a hole in the middle, which may yet be filled."""
        account = self._accounts.get(epoch)
        if account is None:
            return [(start, end)]
        came = IntervalSet(account.covered.overlap(start, end))
        came.add(start, min(account.since, end))
        return list(came)

    def _give_up(self, epoch: int, index: int) -> None:
        """In an ordered feed nothing comes late any more: declare what is missing before that place."""
        start = self._settled[1] if epoch == self._settled[0] else 0
        if start < index:
            self._page.append(_lost(epoch, start, index))
        self._settled = max(self._settled, (epoch, index))


def _key(delivery: Delivery) -> Key:
    return delivery.span.epoch, delivery.span.index


def _lost(epoch: int, start: int, end: int) -> Delivery:
    return Delivery.of(Gap(epoch, start, end - start, "slow"))


def delivery_of(excerpt: Excerpt) -> Delivery:
    """What was asked for of a record, as it is delivered."""
    record = excerpt.record.part(excerpt.start, excerpt.end)
    if record.is_gap:
        return Delivery.of(record.message(), record.payload)
    span = Span(record.epoch, record.index, record.end)
    return Delivery(span, record.payload, record.utc_ns, record.last_ns, record.rate)
