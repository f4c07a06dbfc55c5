"""Driving an outbox in tests: its own clock, records whose payload tells what they are, and a strict receiver."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.account import Account
from gateway.codec import find_codec
from gateway.device.outbox import Outbox, OutboxSettings, Record, Sending
from gateway.model import Gap, GapReason

FRAMES = 10


def payload_of(stream: str, epoch: int, index: int, size: int) -> bytes:
    """Bytes that no other batch has."""
    head = f"{stream}/{epoch}/{index}:".encode()
    return head + bytes(number * 7 % 256 for number in range(size - len(head)))


def batch(number: int, *, stream: str = "ecg", epoch: int = 1, size: int = 500) -> Record:
    """The batch of that number, of FRAMES frames."""
    index = number * FRAMES
    return Record(stream, epoch, index, FRAMES, payload_of(stream, epoch, index, size))


def gap(number: int, reason: GapReason, *, stream: str = "ecg", epoch: int = 1) -> Record:
    """A gap in the place of the batch of that number."""
    message = Gap(epoch, number * FRAMES, FRAMES, reason)
    return Record(stream, epoch, message.index, FRAMES, find_codec("cbor").encode(message), reason)


@dataclass
class Bench:
    """An outbox that is driven step by step, and what was received from it."""

    settings: OutboxSettings
    now_ns: int = 1_000_000_000
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    committed: list[Record] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    received: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outbox = Outbox(
            self.settings,
            on_event=lambda name, data: self.events.append((name, data)),
            on_committed=self.committed.extend,
            clock=lambda: self.now_ns,
        )

    @property
    def names(self) -> list[str]:
        """Of the events so far."""
        return [name for name, _ in self.events]

    def wait(self, seconds: float) -> None:
        """Time goes on, and the disk's thread comes round."""
        self.now_ns += int(seconds * 1e9)
        self.outbox.step()

    def send(self, limit: int = 1 << 30) -> list[Sending]:
        """What the outbox hands out without an acknowledgement."""
        sent: list[Sending] = []
        while len(sent) < limit and (sending := self.outbox.take()) is not None:
            sent.append(sending)
        return sent

    def arrive(self, sending: Sending) -> None:
        """The broker has it; a batch must be one that was put."""
        record = sending.record
        self.outbox.ack(sending.token)
        self.received.append(record)
        account = self.account.of(record.stream, record.epoch)
        if record.reason is None:
            size = len(record.payload)
            assert record.payload == payload_of(record.stream, record.epoch, record.index, size)
            account.deliver(record.index, record.end)
        else:
            message = find_codec(record.codec).decode(record.payload)
            assert message == Gap(record.epoch, record.index, record.count, record.reason)
            account.add(message)

    def drain(self) -> None:
        """Connect, and receive everything."""
        self.outbox.connected()
        idle = 0
        while idle < 3:
            self.wait(1.0)
            sent = self.send()
            idle = 0 if sent else idle + 1
            for sending in sent:
                self.arrive(sending)


def settings_for(directory: Path | None, **changes: Any) -> OutboxSettings:
    """Small bounds, so that tests reach them soon."""
    return OutboxSettings(**{"directory": directory, "max_bytes": 1 << 20, "retry_s": 0.5, **changes})


def bench(directory: Path | None, **changes: Any) -> Bench:
    made = Bench(settings_for(directory, **changes))
    made.outbox.step()
    return made
