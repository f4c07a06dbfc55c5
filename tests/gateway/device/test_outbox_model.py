"""The outbox, driven at random, against a list that knows all that was put in.

Whatever is put, taken, acknowledged, released and restarted, in the end each frame was acknowledged once: in
its batch, or in a gap that declares it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.account import Account
from gateway.codec import find_codec
from gateway.device.outbox import Drop, Durability, Outbox, OutboxSettings, Record, Sending
from gateway.model import Gap, GapReason

SHM = Path("/dev/shm")
MAX_BYTES = 128 << 10
STREAMS = ("ecg", "spo2")


class OutboxMachine(RuleBasedStateMachine):
    """One outbox, driven step by step by a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=SHM if SHM.is_dir() else None))
        self.now_ns = 1_000_000_000
        self.epoch = 1
        self.put_end: dict[tuple[str, int], int] = {}
        self.batches: dict[tuple[str, int, int], bytes] = {}
        self.in_flight: list[Sending] = []
        self.account = Account()
        self.online = False

    @initialize(
        durability=st.sampled_from(["spill", "always"]),
        drop=st.sampled_from(["oldest", "newest"]),
        on_disk=st.booleans(),
        window=st.integers(1, 20),
    )
    def begin(self, durability: Durability, drop: Drop, on_disk: bool, window: int) -> None:
        self.settings = OutboxSettings(
            directory=self.directory if on_disk else None,
            durability=durability,
            max_bytes=MAX_BYTES,
            drop=drop,
            window=window,
            window_bytes=MAX_BYTES // 32,
        )
        self.outbox = self.make()

    def make(self) -> Outbox:
        return Outbox(self.settings, clock=lambda: self.now_ns)

    @rule(
        stream=st.sampled_from(STREAMS),
        count=st.integers(1, 20),
        records=st.sampled_from([1, 5, 60]),
        size=st.sampled_from([10, 500, 3000]),
    )
    def put_batches(self, stream: str, count: int, records: int, size: int) -> None:
        for number in range(records):
            index = self.put_end.get((stream, self.epoch), 0)
            payload = bytes([number % 251]) * size
            self.batches[stream, self.epoch, index] = payload
            self.put(Record(stream, self.epoch, index, count, payload))

    @rule(
        stream=st.sampled_from(STREAMS),
        count=st.integers(1, 20),
        records=st.sampled_from([1, 2, 200]),
        reason=st.sampled_from(["overrun", "late"]),
    )
    def put_gaps(self, stream: str, count: int, records: int, reason: GapReason) -> None:
        for _ in range(records):
            gap = Gap(self.epoch, self.put_end.get((stream, self.epoch), 0), count, reason)
            self.put(Record(stream, self.epoch, gap.index, count, find_codec("cbor").encode(gap), reason))

    def put(self, record: Record) -> None:
        self.put_end[record.stream, record.epoch] = record.end
        self.outbox.put(record)

    @rule(seconds=st.sampled_from([0.01, 0.6, 3.0, 20.0]))
    def let_the_disk_work(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)
        self.outbox.step()

    @rule(window=st.none() | st.integers(1, 30))
    def connect(self, window: int | None) -> None:
        self.outbox.connected(window)
        self.online = True

    @rule()
    def lose_the_connection(self) -> None:
        self.outbox.release_all()
        self.online = False
        self.in_flight.clear()

    @rule(records=st.sampled_from([1, 3, 30]))
    def send(self, records: int) -> None:
        for _ in range(records):
            sending = self.outbox.take()
            if sending is None:
                return
            self.in_flight.append(sending)
            assert len(self.in_flight) <= self.settings.window

    @rule(records=st.sampled_from([1, 3, 30]), data=st.data())
    def acknowledge(self, records: int, data: st.DataObject) -> None:
        for _ in range(min(records, len(self.in_flight))):
            at = data.draw(st.integers(0, len(self.in_flight) - 1))
            self.arrive(self.in_flight.pop(at))

    @rule(data=st.data())
    def fail_to_send(self, data: st.DataObject) -> None:
        if self.in_flight:
            at = data.draw(st.integers(0, len(self.in_flight) - 1))
            self.outbox.release(self.in_flight.pop(at).token)

    @precondition(lambda self: self.settings.directory is not None)
    @rule()
    def restart(self) -> None:
        self.outbox.close()
        self.outbox = self.make()
        self.online = False
        self.in_flight.clear()
        self.epoch += 1

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "outbox"):
            return
        counters = self.outbox.counters()
        assert counters.bytes <= MAX_BYTES
        assert counters.in_flight == len(self.in_flight)
        if self.settings.directory is not None:
            assert counters.memory_bytes <= MAX_BYTES // 4 + 4 * 3200
            files = sum(file.stat().st_size for file in self.directory.iterdir() if file.name == "outbox.db")
            assert files <= MAX_BYTES + (64 << 10)

    def arrive(self, sending: Sending) -> None:
        record = sending.record
        self.outbox.ack(sending.token)
        account = self.account.of(record.stream, record.epoch)
        if record.reason is None:
            assert self.batches[record.stream, record.epoch, record.index] == record.payload
            account.deliver(record.index, record.end)
            return
        gap = find_codec(record.codec).decode(record.payload)
        assert gap == Gap(record.epoch, record.index, record.count, record.reason)
        account.declare(record.index, record.end, record.reason)

    def teardown(self) -> None:
        try:
            if hasattr(self, "outbox"):
                self.drain()
                self.check_the_account()
                self.outbox.close()
        finally:
            shutil.rmtree(self.directory)

    def drain(self) -> None:
        self.outbox.connected()
        while self.in_flight:
            self.arrive(self.in_flight.pop())
        idle = 0
        while idle < 3:
            self.now_ns += 1_000_000_000
            self.outbox.step(everything=True)
            sending = self.outbox.take()
            idle = 0 if sending else idle + 1
            if sending:
                self.arrive(sending)

    def check_the_account(self) -> None:
        counters = self.outbox.counters()
        assert (counters.records, counters.bytes, counters.disk_records) == (0, 0, 0)
        for (stream, epoch), end in self.put_end.items():
            account = self.account.of(stream, epoch)
            assert account.end == end
            assert account.undeclared(end) == 0
            assert (account.duplicates, account.contradicted) == (0, 0)


TestOutboxModel = OutboxMachine.TestCase
TestOutboxModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
