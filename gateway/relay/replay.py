"""From the history to the live feed without a seam: what a reader gets first, page by page, and where it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.model import Gap
from gateway.relay.archive import Archive
from gateway.relay.delivery import Delivery, Span
from gateway.relay.history import Excerpt, Key, Page, StreamHistory

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
    before = history.page(*complete, 1).excerpts
    reaches = bool(before) and (before[0].record.epoch, before[0].start) < place.key
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
        ordered_to: Callable[[], Key] | None = None,
    ) -> None:
        self._archive = archive
        self._stream = stream
        self._reader = reader
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
            if self._asked is not None:
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
        if self._last_page or _key(delivery) < self._settled:
            return False
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
        self._meanwhile, place = [], self._settled
        try:
            page = await self._archive.ask(self._stream, lambda history: history.page(*place, PAGE_BYTES))
        except OSError as error:
            log.warning("history: %s: %s", self._stream, error)
            page = Page([], [], False)
        meanwhile, self._meanwhile, self._asked = self._meanwhile, None, None
        if len(meanwhile) > MAXIMUM_MEANWHILE:
            self._reader.pump()
            return
        if page.excerpts:
            self._turn(page)
        else:
            self._turn_to_recent()
        for delivery in meanwhile:
            if _key(delivery) < self._settled:
                self._reader.offer(delivery)
        self._reader.pump()

    def _turn_to_recent(self) -> None:
        page = self._archive.recent(self._stream).page(*self._settled, PAGE_BYTES)
        self._turn(page)
        self._last_page = self._last_page or not page.more
        if self._last_page and self._ordered_to is not None:
            self._give_up(*self._ordered_to())

    def _turn(self, page: Page) -> None:
        for epoch, start, end in page.gone:
            self._page.append(_lost(epoch, start, end))
            self._settled = epoch, end
        for excerpt in page.excerpts:
            epoch = excerpt.record.epoch
            if self._ordered_to is not None:
                if (epoch, excerpt.start) >= self._ordered_to():
                    self._last_page = True
                    return
                self._give_up(epoch, excerpt.start)
            self._page.append(_delivery_of(excerpt))
            self._settled = epoch, excerpt.end

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


def _delivery_of(excerpt: Excerpt) -> Delivery:
    record = excerpt.record.part(excerpt.start, excerpt.end)
    if record.is_gap:
        return Delivery.of(record.message(), record.payload)
    span = Span(record.epoch, record.index, record.end)
    return Delivery(span, record.payload, record.utc_ns, record.last_ns, record.rate)
