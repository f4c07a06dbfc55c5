"""From the history to the live feed: whatever happens meanwhile, each index comes once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from gateway.account import IntervalSet
from gateway.codec import CODECS
from gateway.config import RelayConfig, load_mapping
from gateway.model import Batch, Gap
from gateway.relay.archive import Archive
from gateway.relay.core import Core
from gateway.relay.delivery import Delivery
from gateway.relay.envelope import Cursor, LiveRequest, StreamEnvelope
from gateway.relay.history import StreamHistory
from gateway.relay.replay import LastFrames, LastSeconds, Place, Resume, Start, place_of
from gateway.relay.scopes import Watcher
from gateway.relay.subscriber import Subscriber
from gateway.relay.wish import Mode, Wish
from tests.support.messages import batch
from tests.support.waiting import PATIENCE_S

STREAM = "bbb1/ecg"
MODES: tuple[Mode, ...] = ("live", "complete")
QUEUE_BYTES = 1 << 20
SMALL_BYTES = 20_000
"""Of memory: about thirty batches."""


def payload(delivery: Delivery) -> bytes:
    """A form whose messages can be taken apart again: each after its length."""
    return len(delivery.payload).to_bytes(4, "big") + delivery.payload


@dataclass
class Reader:
    """A subscriber that stalls now and then, and what it got."""

    core: Core
    queue: int = QUEUE_BYTES
    taking: bool = True
    got: list[Batch | Gap] = field(default_factory=list)
    feed: Any = None

    def __post_init__(self) -> None:
        self.subscriber = Subscriber(self, payload, self.queue)

    def send(self, wire: bytes) -> bool:
        while wire:
            size = int.from_bytes(wire[:4], "big")
            self.got.append(CODECS["cbor"].decode(wire[4 : 4 + size]))
            wire = wire[4 + size :]
        return self.taking

    def end(self, reason: str) -> None:
        raise AssertionError(reason)

    def soon(self, work: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(work)

    def stall(self) -> None:
        self.taking = False

    def resume(self) -> None:
        self.taking = True
        self.subscriber.resume()

    async def join(self, start: Start, mode: Mode = "live") -> Place:
        place = await place_of(self.core.archive, STREAM, start)
        self.feed = self.core.join(self.subscriber, Wish(stream=STREAM, mode=mode), place.key)
        return place

    async def caught_up(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.subscriber.replaying:
                await asyncio.sleep(0.001)

    def covered(self, epoch: int = 1) -> list[list[int]]:
        """The ranges that came; fails if anything came twice."""
        ranges = IntervalSet()
        for message in self.got:
            if message.epoch == epoch:
                assert ranges.add(message.index, message.end) == [(message.index, message.end)], message
        return ranges.as_list()

    def covered_from(self, start: int) -> list[list[int]]:
        """The same from an index on: backlog from before it comes too."""
        return [[max(low, start), high] for low, high in self.covered() if high > start]

    def lost_as(self, *reasons: str) -> list[tuple[int, int]]:
        return [(m.index, m.end) for m in self.got if isinstance(m, Gap) and m.reason in reasons]


@dataclass
class Envelopes(Reader):
    """A viewer of an envelope, and how many frames of each bucket were delivered, by the bucket's first frame."""

    size: int = 0
    delivered: dict[int, int] = field(default_factory=dict)

    def send(self, wire: bytes) -> bool:
        content = cbor2.loads(wire[4:])
        start, self.size = content["i"], content["b"]
        for number, frames in enumerate(np.frombuffer(content["u"].value, "<u4").tolist()):
            self.delivered[start + number * self.size] = frames
        return True

    @property
    def reached(self) -> int:
        last = max(self.delivered, default=0)
        return last + self.delivered.get(last, 0)


class Rig:
    """A relay without sockets."""

    def __init__(self, directory: Path | None, memory_bytes: int = SMALL_BYTES, hold: float = 0.2) -> None:
        content = {"relay": {"hold": hold}, "history": {"memory_bytes": memory_bytes}}
        self.core = Core(load_mapping(RelayConfig, content, "test"), directory)
        self.state = self.core.catalogue.stream("bbb1", "ecg")

    def publish(self, *indices: int, frames: int = 10, epoch: int = 1) -> None:
        for index in indices:
            encoded = CODECS["cbor"].encode(batch(index, frames, epoch=epoch))
            for delivery in self.state.intake.take(encoded):
                self.core.publish(self.state, delivery)

    def declare(self, index: int, count: int) -> None:
        for delivery in self.state.intake.take(CODECS["cbor"].encode(Gap(1, index, count, "overrun"))):
            self.core.publish(self.state, delivery)


@pytest.fixture(params=["memory", "disk"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "memory" else tmp_path


async def rig_at(directory: Path | None, **options: Any) -> Rig:
    rig = Rig(directory, **options)
    await rig.core.open()
    return rig


async def test_a_late_joiner_gets_the_past_and_then_the_present(directory: Path | None) -> None:
    rig = await rig_at(directory, memory_bytes=1 << 20)
    rig.publish(*range(0, 1000, 10))
    reader = Reader(rig.core)
    place = await reader.join(LastFrames(500))
    rig.publish(*range(1000, 1100, 10))
    await reader.caught_up()
    assert (place.key, place.recovered) == ((1, 500), True)
    assert reader.covered() == [[500, 1100]]
    assert [message.index for message in reader.got] == list(range(500, 1100, 10))
    await rig.core.close()


async def test_a_span_of_time_is_found_to_the_frame(directory: Path | None) -> None:
    rig = await rig_at(directory)
    rig.publish(*range(0, 5000, 10))
    reader = Reader(rig.core)
    await reader.join(LastSeconds(0.5))
    await reader.caught_up()
    assert reader.covered() == [[4750, 5000]], "half a second at 500 Hz"
    await rig.core.close()


async def test_who_resumes_within_a_batch_gets_its_rest(directory: Path | None) -> None:
    rig = await rig_at(directory)
    rig.publish(*range(0, 1000, 10))
    reader = Reader(rig.core)
    assert (await reader.join(Resume(1, 996))).recovered
    await reader.caught_up()
    first = reader.got[0]
    assert isinstance(first, Batch)
    assert (first.index, first.data[:, 0].tolist()) == (996, [996, 997, 998, 999])
    await rig.core.close()


async def test_who_was_away_too_long_is_told_what_is_gone() -> None:
    rig = await rig_at(None)
    rig.publish(*range(0, 5000, 10))
    reader = Reader(rig.core)
    place = await reader.join(Resume(1, 100))
    await reader.caught_up()
    assert not place.recovered
    assert reader.covered() == [[100, 5000]]
    ((start, end),) = reader.lost_as("slow")
    assert start == 100
    assert 4000 < end < 5000
    await rig.core.close()


async def test_what_memory_has_let_go_comes_from_the_disk(tmp_path: Path) -> None:
    rig = await rig_at(tmp_path)
    rig.publish(*range(0, 5000, 10))
    reader = Reader(rig.core)
    place = await reader.join(Resume(1, 100))
    await reader.caught_up()
    assert place.recovered
    assert reader.covered() == [[100, 5000]]
    assert reader.lost_as("slow") == []
    await rig.core.close()


async def test_a_relay_that_restarts_goes_on_where_it_was(tmp_path: Path) -> None:
    before = await rig_at(tmp_path)
    before.publish(*range(0, 1000, 10))
    await before.core.close()
    rig = await rig_at(tmp_path)
    rig.publish(*range(900, 1500, 10))
    assert rig.state.intake.duplicates == 100, "what it had is not taken twice"
    rig.publish(1600)
    assert rig.state.intake.accounts[1].holes() == [(1500, 1600)]
    reader = Reader(rig.core)
    assert not (await reader.join(Resume(1, 0))).recovered, "a hole may still be filled"
    await reader.caught_up()
    assert reader.covered() == [[0, 1500], [1600, 1610]]
    rig.publish(*range(1500, 1600, 10))
    assert reader.covered() == [[0, 1610]]
    await rig.core.close()


async def test_backlog_that_fills_a_hole_while_the_history_is_read_comes_once(directory: Path | None) -> None:
    rig = await rig_at(directory)
    rig.publish(*range(0, 2000, 10), *range(2500, 5000, 10))
    reader = Reader(rig.core)
    reader.stall()
    await reader.join(Resume(1, 0) if directory else LastFrames(100))
    rig.publish(*range(2000, 2500, 10))
    reader.resume()
    await reader.caught_up()
    rig.publish(5000)
    covered = reader.covered()
    assert covered == ([[0, 5010]] if directory else [[2000, 2500], [4900, 5010]])
    await rig.core.close()


async def test_in_order_nothing_comes_late_and_what_is_missing_is_declared(directory: Path | None) -> None:
    rig = await rig_at(directory, memory_bytes=1 << 20)
    rig.publish(*range(0, 1000, 10), *range(1500, 2000, 10))
    first = Reader(rig.core)
    await first.join(LastFrames(1000), "complete")
    await first.caught_up()
    assert first.covered() == [[500, 2000]]
    assert first.lost_as("slow") == [(1000, 1500)], "the hole was there before anybody asked"
    rig.publish(2010)
    assert first.covered() == [[500, 2000]]
    rig.publish(2000)
    assert first.covered() == [[500, 2020]]
    rig.publish(*range(1000, 1500, 10), 2030)
    rig.core.ordered.tick(time.monotonic() + 60)
    assert first.lost_as("slow")[1:] == [(2020, 2030)]
    assert [m.index for m in first.got] == sorted(m.index for m in first.got)
    await rig.core.close()


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_each_index_comes_once(tmp_path: Path, seed: int) -> None:
    """Batches in and out of order, gaps, restarts of readers, stalls, a memory that is too small, and the disk."""
    choose = random.Random(seed)
    directory, memory_bytes = tmp_path if seed % 3 else None, choose.choice([SMALL_BYTES, 100_000])
    rig = await rig_at(directory, memory_bytes=memory_bytes, hold=0.05)
    looking = asyncio.create_task(rig.core.run())
    readers = list[tuple[Reader, Mode, int]]()
    backlog, end = list[int](), 0
    weights = {"live": 8, "keep": 2, "backlog": 2, "join": 1, "stall": 1, "resume": 2, "wait": 2}
    for what in choose.choices(list(weights), list(weights.values()), k=200):
        match what:
            case "live":
                count = choose.randrange(1, 30)
                rig.publish(*range(end, end + 10 * count, 10))
                end += 10 * count
            case "keep":
                backlog.append(end)
                end += 10
            case "backlog":
                choose.shuffle(backlog)
                late, backlog = backlog[:3], backlog[3:]
                for index in late:
                    rig.publish(index) if choose.random() < 0.8 else rig.declare(index, 10)
            case "join" if rig.state.intake.end:
                reader, mode = Reader(rig.core), choose.choice(MODES)
                start = choose.randrange(rig.state.intake.end)
                await reader.join(Resume(1, start), mode)
                readers.append((reader, mode, start))
            case "stall" if readers:
                choose.choice(readers)[0].stall()
            case "resume":
                for reader, _, _ in readers:
                    reader.resume()
            case "wait":
                await asyncio.sleep(choose.choice([0, 0.001, 0.02]))
    rig.publish(*backlog, end)
    for reader, mode, start in readers:
        reader.resume()
        await reader.caught_up()
        async with asyncio.timeout(PATIENCE_S):
            while reader.covered_from(start) != [[start, end + 10]]:
                await asyncio.sleep(0.01)
        if mode == "complete":
            assert reader.covered()[0][0] == start
            assert [m.index for m in reader.got] == sorted(m.index for m in reader.got)
        elif directory is not None:
            assert reader.lost_as("slow") == [], "with a disk nothing is gone"
    looking.cancel()
    await rig.core.close()


@pytest.mark.parametrize("seed", range(5))
async def test_an_envelope_that_begins_in_the_history_counts_each_frame_once(tmp_path: Path, seed: int) -> None:
    """Those too that come while the history is read."""
    choose = random.Random(seed)
    rig = await rig_at(tmp_path)
    rig.publish(*range(0, 3000, 10))
    await rig.core.close()
    rig = await rig_at(tmp_path)
    rig.publish(*range(3000, 4000, 10))
    envelopes = Envelopes(rig.core)
    rig.core.scopes.watch(STREAM, Watcher(envelopes.subscriber, LiveRequest(60, 100), 0.001))
    index = 4000
    async with asyncio.timeout(PATIENCE_S):
        while index < 5000 or envelopes.reached < index:
            if index < 5000:
                rig.publish(index)
                index += 10
            await asyncio.sleep(choose.choice((0, 0, 0.001)))
    assert envelopes.delivered == {start: min(envelopes.size, index - start) for start in envelopes.delivered}
    assert min(envelopes.delivered) == 0
    await rig.core.close()


async def test_equal_envelopes_are_computed_once_whenever_their_viewers_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = await rig_at(None)
    computed = 0
    compute = StreamEnvelope._compute

    def counted(self: StreamEnvelope, request: LiveRequest, seen: Cursor | None) -> bytes | None:
        nonlocal computed
        computed += 1
        return compute(self, request, seen)

    monkeypatch.setattr(StreamEnvelope, "_compute", counted)
    viewers = list[Envelopes]()
    for index in range(0, 300, 10):
        rig.publish(index)
        viewers.append(Envelopes(rig.core))
        rig.core.scopes.watch(STREAM, Watcher(viewers[-1].subscriber, LiveRequest(60, 100), 0.02))
        await asyncio.sleep(0.001)
    await everyone_at(300, viewers)
    computed = 0
    for index in range(300, 400, 10):
        rig.publish(index)
        await everyone_at(index + 10, viewers)
    assert computed == 10
    await rig.core.close()


async def test_a_viewer_that_stalled_sees_the_end_of_a_stream_that_goes_on_no_more() -> None:
    rig = await rig_at(None)
    rig.publish(0)
    viewers = [Envelopes(rig.core), Envelopes(rig.core)]
    for viewer in viewers:
        rig.core.scopes.watch(STREAM, Watcher(viewer.subscriber, LiveRequest(60, 100), 0.001))
    await everyone_at(10, viewers)
    stalled = viewers[0]
    stalled.subscriber.stall()
    rig.publish(10, 20)
    await everyone_at(30, viewers[1:])
    assert stalled.reached == 10
    stalled.resume()
    await everyone_at(30, viewers)
    await rig.core.close()


async def test_who_turns_to_something_else_at_once_gets_no_envelope_any_more() -> None:
    rig = await rig_at(None)
    rig.publish(0)
    viewers = [Envelopes(rig.core), Envelopes(rig.core)]
    watchers = [Watcher(viewer.subscriber, LiveRequest(60, 100), 0.001) for viewer in viewers]
    rig.core.scopes.watch(STREAM, watchers[0])
    await everyone_at(10, viewers[:1])
    rig.core.scopes.watch(STREAM, watchers[1])
    rig.core.scopes.leave(STREAM, watchers[1])
    rig.publish(10)
    await everyone_at(20, viewers[:1])
    assert viewers[1].delivered == {}
    await rig.core.close()


async def everyone_at(index: int, viewers: list[Envelopes]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while any(viewer.reached != index for viewer in viewers):
            await asyncio.sleep(0.001)


async def test_a_slow_disk_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await rig_at(tmp_path, memory_bytes=1 << 20)
    ask, let_go = Archive.ask, asyncio.Event()

    async def slowly(archive: Archive, stream: str, question: Callable[[StreamHistory], Any]) -> Any:
        await let_go.wait()
        return await ask(archive, stream, question)

    monkeypatch.setattr(Archive, "ask", slowly)
    rig.publish(*range(0, 100, 10))
    reader, other = Reader(rig.core), Reader(rig.core)
    waiting = asyncio.create_task(reader.join(Resume(0, 0)))
    await other.join(LastFrames(50))
    rig.publish(*range(100, 200, 10))
    assert other.covered() == [[50, 200]]
    let_go.set()
    await waiting
    await reader.caught_up()
    assert reader.covered() == [[0, 200]]
    await rig.core.close()
