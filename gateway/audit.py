"""Was every frame delivered or declared lost? Pure: statuses and messages in, a report out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.account import HOLES_SHOWN, IntervalSet, Range, StreamAccount, length
from gateway.birth import TOP, Birth, Told, birth_of
from gateway.model import Batch, Message

DRIFT = 500e-6
"""How much faster or slower than its nominal rate a sample clock may honestly run."""
CONTINUITY_NS = 5_000_000
"""How far from where the batch before it says a batch may be in time, beside drift."""


@dataclass(slots=True)
class Continuity:
    """Whether the times of an epoch's batches follow from each other."""

    jumps: int = 0
    worst_ns: int = 0
    _index: int | None = None
    _utc_ns: int = 0

    def add(self, batch: Batch) -> None:
        """Hold a batch against the one that came before it."""
        if batch.rate is None:
            return
        if self._index is not None:
            frames = batch.index - self._index
            due_ns = self._utc_ns + frames * 1_000_000_000 * batch.rate.denominator // batch.rate.numerator
            allowed_ns = CONTINUITY_NS + int(DRIFT * abs(due_ns - self._utc_ns))
            off_ns = abs(batch.utc_ns - due_ns)
            self.worst_ns = max(self.worst_ns, off_ns)
            self.jumps += off_ns > allowed_ns
        self._index, self._utc_ns = batch.index, batch.utc_ns


@dataclass(slots=True)
class EpochAudit:
    """One epoch of the stream."""

    account: StreamAccount
    was_over: bool = False
    """Whether it had ended before we came: then only what the device still had is ours to miss."""
    continuity: Continuity = field(default_factory=Continuity)
    acquired: int = 0
    """How far the device says that it has got."""
    _excused: IntervalSet | None = None

    def end(self, told: Told) -> None:
        """A later epoch has begun: what the device has not got will never come."""
        if self.was_over and self._excused is None:
            self._excused = IntervalSet(IntervalSet(told.backlog).holes(0, TOP))
        self.acquired = max(self.acquired, told.reached)
        self.account.end_epoch(self.acquired, [*told.backlog, *(self._excused or ())])

    def holes(self) -> list[Range]:
        """What nobody spoke of, up to what the device says it has acquired."""
        holes = self.account.holes(max(self.acquired, self.account.end))
        return [part for hole in holes for part in (self._excused or IntervalSet()).holes(*hole)]

    def as_dict(self) -> dict[str, Any]:
        """For people and for JSON."""
        holes = self.holes()
        return {
            **self.account.as_dict(),
            "holes": [list(hole) for hole in holes[:HOLES_SHOWN]],
            "acquired": self.acquired,
            "undeclared": length(holes) + self.account.given_up,
            "time_jumps": self.continuity.jumps,
            "worst_time_error_ms": round(self.continuity.worst_ns / 1e6, 3),
        }


class Audit:
    """Follows one stream, whatever happens to the device, the broker and the connection.

    Of an epoch that was under way when we came, what lies before the first message is not ours to miss; of one
    that began since, everything is.
    """

    def __init__(self, device: str, stream: str) -> None:
        self.device = device
        self.stream = stream
        self.epochs: dict[int, EpochAudit] = {}
        self.messages = 0
        """Batches and gaps so far."""
        self._birth: Birth | None = None
        self._joined: int | None = None
        """The epoch that was the newest when we came."""

    @property
    def stopped(self) -> bool:
        """Whether the device said goodbye, and nothing since."""
        return self._birth is not None and self._birth.stopped

    def take_status(self, status: Mapping[str, Any]) -> None:
        """A birth says which epoch began, and what is known of the earlier ones."""
        birth = birth_of(status, self.stream)
        if birth is None:
            return
        if self._birth is None:
            self._joined = max(birth.epoch, self._joined or 0)
        self._birth = birth
        for epoch in (*(birth.previous or ()), *([birth.epoch] if birth.stopped and birth.acquired else ())):
            if self._joined is not None and self._joined < epoch <= birth.epoch:
                self._epoch(epoch)
        if birth.previous is not None:
            for epoch, known in self.epochs.items():
                if epoch < birth.epoch:
                    known.end(birth.told_of(epoch))
        if birth.stopped and birth.epoch in self.epochs:
            known = self.epochs[birth.epoch]
            known.acquired = max(known.acquired, birth.acquired)

    def take(self, message: Message) -> list[Range]:
        """Count a message; what of it is new."""
        self.messages += 1
        known = self._epoch(message.epoch, message.index)
        if isinstance(message, Batch):
            known.continuity.add(message)
        return known.account.add(message)

    def holes(self) -> dict[int, list[Range]]:
        """What is missing as yet, by epoch; what may still come by itself is among it."""
        return {epoch: holes for epoch, known in self.epochs.items() if (holes := known.holes())}

    def undeclared(self) -> int:
        """Frames that nobody spoke of: 0, or the promise is broken."""
        return sum(length(known.holes()) + known.account.given_up for known in self.epochs.values())

    def report(self) -> dict[str, Any]:
        """Everything, by epoch."""
        return {
            "stream": f"{self.device}/{self.stream}",
            "epochs": {str(epoch): self.epochs[epoch].as_dict() for epoch in sorted(self.epochs)},
            "undeclared": self.undeclared(),
        }

    def _epoch(self, epoch: int, index: int = 0) -> EpochAudit:
        """The audit of that epoch, of which the frame of that index is the first that we hear of."""
        known = self.epochs.get(epoch)
        if known is not None:
            return known
        if self._joined is None:
            self._joined = epoch
        since = 0 if epoch > self._joined else index
        known = self.epochs[epoch] = EpochAudit(StreamAccount(since), was_over=epoch < self._joined)
        birth = self._birth
        if birth is not None and birth.previous is not None and epoch < birth.epoch:
            known.end(birth.told_of(epoch))
        return known
