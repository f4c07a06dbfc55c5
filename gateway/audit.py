"""Was every frame delivered or declared lost? Pure: statuses and messages in, a report out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.account import Range, StreamAccount, length
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
    continuity: Continuity = field(default_factory=Continuity)
    acquired: int = 0
    """How far the device says that it has got."""

    def holes(self) -> list[Range]:
        """What nobody spoke of, up to what the device says it has acquired."""
        return self.account.holes(max(self.acquired, self.account.end))

    def as_dict(self) -> dict[str, Any]:
        """For people and for JSON."""
        return {
            **self.account.as_dict(),
            "acquired": self.acquired,
            "undeclared": length(self.holes()) + self.account.given_up,
            "time_jumps": self.continuity.jumps,
            "worst_time_error_ms": round(self.continuity.worst_ns / 1e6, 3),
        }


class Audit:
    """Follows one stream, whatever happens to the device, the broker and the connection."""

    def __init__(self, device: str, stream: str) -> None:
        self.device = device
        self.stream = stream
        self.epochs: dict[int, EpochAudit] = {}
        self.stopped = False
        """Whether the device said goodbye, and nothing since."""
        self.messages = 0
        """Batches and gaps so far."""
        self.epoch: int | None = None
        """The one that the device's status names."""

    def take_status(self, status: Mapping[str, Any]) -> None:
        """A birth says which epoch began, and what is known of the earlier ones."""
        epoch = status.get("epoch")
        if not isinstance(epoch, int):
            return
        self.stopped = not status.get("online") and status.get("reason") == "stopped"
        self._end_epochs_before(epoch, status.get("previous"))
        known = self.epochs.get(epoch)
        acquired = status.get("acquired")
        if self.stopped and known is not None and isinstance(acquired, dict):
            known.acquired = max(known.acquired, int(acquired.get(self.stream, 0)))
        self.epoch = epoch

    def take(self, message: Message) -> list[Range]:
        """Count a message; what of it is new."""
        self.messages += 1
        known = self.epochs.get(message.epoch)
        if known is None:
            # of an epoch that was under way when we came, what lies before is not ours to miss
            since = message.index if not self.epochs else 0
            known = self.epochs[message.epoch] = EpochAudit(StreamAccount(since))
        if isinstance(message, Batch):
            known.continuity.add(message)
        return known.account.add(message)

    def holes(self) -> dict[int, list[Range]]:
        """What is missing as yet, by epoch; what may still come by itself is among it."""
        return {epoch: holes for epoch, known in self.epochs.items() if (holes := known.holes())}

    def undeclared(self) -> int:
        """Frames that nobody spoke of: 0, or the promise is broken."""
        return sum(known.as_dict()["undeclared"] for known in self.epochs.values())

    def report(self) -> dict[str, Any]:
        """Everything, by epoch."""
        return {
            "stream": f"{self.device}/{self.stream}",
            "epochs": {str(epoch): self.epochs[epoch].as_dict() for epoch in sorted(self.epochs)},
            "undeclared": self.undeclared(),
        }

    def _end_epochs_before(self, epoch: int, previous: object) -> None:
        told: dict[int, Mapping[str, Any]] = {}
        for entry in previous if isinstance(previous, list) else []:
            if isinstance(entry, dict) and entry.get("stream") == self.stream:
                told[int(entry["epoch"])] = entry
        for earlier, known in self.epochs.items():
            if earlier < epoch:
                entry = told.get(earlier, {})
                backlog = [(int(start), int(end)) for start, end in entry.get("backlog", [])]
                known.account.end_epoch(int(entry.get("reached", 0)), backlog)
