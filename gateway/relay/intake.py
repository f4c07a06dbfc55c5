"""One stream's payloads to deliveries: each frame once, whatever the network did. Pure.

Duplicates are dropped, what overlaps is trimmed, what comes late is marked so; the bytes of everything else stay
as they came.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.account import IntervalSet, Range, StreamAccount, part_of
from gateway.codec import CODECS
from gateway.model import Batch, Gap, GapReason, Message
from gateway.relay.answers import Progress
from gateway.relay.delivery import Delivery, Span
from gateway.relay.skeleton import Skeleton

MAXIMUM_EPOCHS = 16
"""How many epochs of a stream are accounted for; the oldest goes first."""
MISFITS = 100
"""After a payload that has no skeleton, so many are decoded before it is tried again."""


class Intake:
    """What came of one stream, and what is new in what comes."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        """The newest."""
        self.accounts: dict[int, StreamAccount] = {}
        """By epoch."""
        self.delivered = 0
        """Frames, in all epochs."""
        self.lost: dict[GapReason, int] = {}
        """Frames, by reason."""
        self.duplicates = 0
        """Frames that came again."""
        self.last_utc_ns: int | None = None
        """When the newest frame was taken."""
        self._skeleton: Skeleton | None = None
        self._misfits = 0

    @property
    def end(self) -> int:
        """The index after the newest frame of the newest epoch."""
        return 0 if self.epoch is None else self.accounts[self.epoch].end

    @property
    def newest(self) -> tuple[int, int]:
        """(epoch, index) after the newest frame; (0, 0) if there was none."""
        return (0, 0) if self.epoch is None else (self.epoch, self.end)

    def take(self, payload: bytes, codec: str = "cbor") -> list[Delivery]:
        """The deliveries in a payload, most often one; raises CodecError if it is no message."""
        known = self._skeleton.match(payload) if self._skeleton is not None else None
        if known is None or codec != "cbor":
            return self._take_message(CODECS[codec].decode(payload), payload if codec == "cbor" else None)
        assert self._skeleton is not None
        epoch, index, utc_ns = known
        account = self._account(epoch, index)
        end, late = index + self._skeleton.frames, index < account.end
        new = account.deliver(index, end)
        if new != [(index, end)]:
            return self._parts(CODECS["cbor"].decode(payload), new, late)
        last_ns, rate = utc_ns + self._skeleton.span_ns, self._skeleton.rate
        delivery = Delivery(Span(epoch, index, end), payload, utc_ns, last_ns, rate, late)
        self._count(delivery)
        return [delivery]

    def end_epoch(self, epoch: int, reached: int, backlog: Iterable[Range]) -> list[Delivery]:
        """The device says how an earlier epoch ended: declare `crash` what will not come any more."""
        account = self.accounts.get(epoch)
        if account is None:
            return []
        gaps = [Gap(epoch, start, end - start, "crash") for start, end in account.end_epoch(reached, backlog)]
        deliveries = [Delivery.of(gap, late=True) for gap in gaps]
        for delivery in deliveries:
            self._count(delivery)
        return deliveries

    def restore(self, epoch: int, covered: IntervalSet, since: int) -> None:
        """Take over what is known of an epoch from before a restart."""
        account = self._account(epoch, since)
        account.since = since
        for start, end in covered:
            account.deliver(start, end)

    def as_dict(self) -> Progress:
        """For the API."""
        account = self.accounts[self.epoch] if self.epoch is not None else StreamAccount()
        return {
            "epoch": self.epoch,
            "end": account.end,
            "delivered": self.delivered,
            "lost": self.lost,
            "duplicates": self.duplicates,
            "holes": [list(hole) for hole in account.holes()[:100]],
            "last_utc_ns": None if self.last_utc_ns is None else str(self.last_utc_ns),
        }

    def _take_message(self, message: Message, payload: bytes | None) -> list[Delivery]:
        account = self._account(message.epoch, message.index)
        late = message.index < account.end
        new = account.add(message)
        if new != [(message.index, message.end)]:
            return self._parts(message, new, late)
        delivery = Delivery.of(message, payload, late=late)
        self._count(delivery)
        if isinstance(message, Batch) and payload is not None:
            self._learn(payload, message)
        return [delivery]

    def _parts(self, message: Message, new: list[Range], late: bool) -> list[Delivery]:
        """What of a message is new, encoded anew."""
        self.duplicates += message.end - message.index - sum(end - start for start, end in new)
        deliveries = []
        for start, end in new:
            part = (
                part_of(message, start, end)
                if isinstance(message, Batch)
                else Gap(message.epoch, start, end - start, message.reason)
            )
            delivery = Delivery.of(part, late=late)
            self._count(delivery)
            deliveries.append(delivery)
        return deliveries

    def _learn(self, payload: bytes, batch: Batch) -> None:
        if self._misfits:
            self._misfits -= 1
            return
        self._skeleton = Skeleton.of(payload, batch)
        self._misfits = 0 if self._skeleton is not None else MISFITS

    def _count(self, delivery: Delivery) -> None:
        span = delivery.span
        if span.reason is not None:
            self.lost[span.reason] = self.lost.get(span.reason, 0) + span.count
            return
        self.delivered += span.end - span.index
        if span.epoch == self.epoch and not delivery.late:
            self.last_utc_ns = delivery.last_utc_ns

    def _account(self, epoch: int, index: int) -> StreamAccount:
        account = self.accounts.get(epoch)
        if account is not None:
            return account
        # who comes to an epoch that runs already has missed nothing of it; later epochs are watched from the start
        first = self.epoch is None or epoch < self.epoch
        account = self.accounts[epoch] = StreamAccount(index if first else 0)
        if self.epoch is None or epoch > self.epoch:
            self.epoch = epoch
        while len(self.accounts) > MAXIMUM_EPOCHS:
            del self.accounts[min(self.accounts)]
        return account
