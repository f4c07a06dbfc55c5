"""Fan-out: whoever keeps up gets everything at once; whoever does not gets what fits, and is told the rest."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.codec.cbor import CborCodec
from gateway.model import Gap
from gateway.relay.hub import Delivery, Framing, Hub, Subscriber

STREAM = "d/s"
codec = CborCodec()


def as_it_is(payload: bytes) -> bytes:
    return b"frame:" + payload


class Sink:
    """Takes so many writes, and then no more until it is given room."""

    framing: Framing = staticmethod(as_it_is)

    def __init__(self, room: int = 1 << 60) -> None:
        self.room = room
        self.wires: list[bytes] = []

    def writable(self) -> bool:
        return self.room > 0

    def write(self, wire: bytes) -> None:
        assert self.room > 0, "written to a sink that takes nothing"
        self.room -= 1
        self.wires.append(wire)

    def take(self) -> list[str]:
        """What came since the last time: a payload's text, a note's text, or the gap."""
        wires, self.wires = self.wires, []
        return [describe(wire) for wire in wires]


def describe(wire: bytes) -> str:
    if not wire.startswith(b"frame:"):
        return wire.decode()
    payload = wire.removeprefix(b"frame:")
    if payload.startswith(b"data"):
        return payload.decode().split()[0]
    gap = codec.decode(payload)
    assert isinstance(gap, Gap)
    return f"lost {gap.epoch}:{gap.index}-{gap.end} {gap.reason}"


def data(index: int, count: int = 1, *, epoch: int = 1, size: int = 100) -> Delivery:
    name = f"data{epoch}:{index}-{index + count} "
    return Delivery(name.encode().ljust(size, b"."), epoch, index, count)


def subscriber(sink: Sink, bound: int = 350) -> Subscriber:
    """Room for three of `data()`."""
    return Subscriber(sink, bound, codec.encode)


def make_hub() -> Hub:
    return Hub(lambda: None)


def reader(hub: Hub, room: int = 1 << 60, bound: int = 350) -> tuple[Sink, Subscriber]:
    sink = Sink(room)
    one = subscriber(sink, bound)
    hub.subscribe(STREAM, one)
    return sink, one


def test_who_keeps_up_is_written_to_at_once_and_has_no_queue() -> None:
    hub = make_hub()
    sink, one = reader(hub)
    for index in range(5):
        hub.publish(STREAM, data(index))
        assert sink.take() == [f"data1:{index}-{index + 1}"]
        assert (one.queued_bytes, one.behind) == (0, False)
    assert not hub.pump()


def test_what_is_for_one_stream_is_for_no_other() -> None:
    hub = make_hub()
    sink, _ = reader(hub)
    hub.publish("d/other", data(0))
    assert sink.take() == []


def test_a_wire_form_is_made_once_for_all() -> None:
    made = []

    def framing(payload: bytes) -> bytes:
        made.append(payload)
        return payload

    hub = make_hub()
    sinks = [reader(hub)[0] for _ in range(10)]
    for sink in sinks:
        sink.framing = framing
    hub.publish(STREAM, data(0))
    assert len(made) == 1
    assert all(sink.wires[0] is sinks[0].wires[0] for sink in sinks)


def test_what_waits_follows_in_order_when_there_is_room_again() -> None:
    hub = make_hub()
    sink, one = reader(hub, room=0)
    for index in range(3):
        hub.publish(STREAM, data(index))
    assert one.queued_bytes == 300
    sink.room = 2
    assert hub.pump(), "one is left"
    sink.room = 9
    assert not hub.pump()
    hub.publish(STREAM, data(3))
    assert sink.take() == ["data1:0-1", "data1:1-2", "data1:2-3", "data1:3-4"]
    assert (one.queued_bytes, one.lost_frames) == (0, 0)


def test_what_does_not_fit_is_lost_from_the_oldest_on_and_declared_before_the_next_data() -> None:
    hub = make_hub()
    sink, one = reader(hub, room=0)
    for index in range(0, 100, 10):
        hub.publish(STREAM, data(index, 10))
        assert one.queued_bytes <= 350
    sink.room = 9
    hub.pump()
    assert sink.take() == ["lost 1:0-70 slow", "data1:70-80", "data1:80-90", "data1:90-100"]
    assert one.lost_frames == 70


def test_losses_in_two_stalls_are_two_gaps() -> None:
    hub = make_hub()
    sink, _ = reader(hub, room=0)
    for index in range(5):
        hub.publish(STREAM, data(index))
    sink.room = 9
    hub.pump()
    sink.room = 0
    for index in range(5, 10):
        hub.publish(STREAM, data(index))
    sink.room = 9
    hub.pump()
    losses = [line for line in sink.take() if line.startswith("lost")]
    assert losses == ["lost 1:0-2 slow", "lost 1:5-7 slow"]


def test_losses_that_do_not_touch_are_declared_apart() -> None:
    """Frames 2 to 9 never came here: they are not this subscriber's to declare."""
    hub = make_hub()
    sink, _ = reader(hub, room=0, bound=100)
    for delivery in (data(0), data(1), data(10), data(0, epoch=2), data(1, epoch=2)):
        hub.publish(STREAM, delivery)
    sink.room = 9
    hub.pump()
    assert sink.take() == ["lost 1:0-2 slow", "lost 1:10-11 slow", "lost 2:0-1 slow", "data2:1-2"]


def test_a_message_larger_than_the_bound_is_lost_to_who_is_behind_and_delivered_to_who_is_not() -> None:
    hub = make_hub()
    stalled, one = reader(hub, room=0)
    healthy, _ = reader(hub)
    hub.publish(STREAM, data(0, size=10_000))
    assert one.queued_bytes == 0
    assert healthy.take() == ["data1:0-1"]
    stalled.room = 1
    hub.pump()
    assert stalled.take() == ["lost 1:0-1 slow"]


def test_the_others_do_not_notice_one_that_stalls() -> None:
    hub = make_hub()
    healthy = [reader(hub)[0] for _ in range(3)]
    _, stalled = reader(hub, room=0)
    healthy.append(reader(hub)[0])
    for index in range(1000):
        hub.publish(STREAM, data(index))
        for sink in healthy:
            assert sink.take() == [f"data1:{index}-{index + 1}"]
    assert stalled.queued_bytes <= 350
    assert stalled.lost_frames == 997


def test_a_note_goes_before_what_waits_and_the_newer_of_two_replaces_the_older() -> None:
    hub = make_hub()
    sink, one = reader(hub, room=0)
    for index in range(5):
        hub.publish(STREAM, data(index))
    hub.tell(one, "status", b"online")
    hub.tell(one, "meta", b"meta")
    hub.tell(one, "status", b"offline")
    sink.room = 9
    hub.pump()
    assert sink.take()[:3] == ["meta", "offline", "lost 1:0-2 slow"]


def test_a_note_to_who_keeps_up_is_written_at_once() -> None:
    hub = make_hub()
    sink, one = reader(hub)
    hub.tell(one, "status", b"online")
    assert sink.take() == ["online"]


def test_a_note_to_one_that_stalls_arrives_though_nothing_is_published_after_it() -> None:
    hub = make_hub()
    sink = Sink(room=0)
    one = subscriber(sink)
    hub.tell(one, "pong", b"pong")
    assert hub.pump(), "it waits"
    sink.room = 1
    assert not hub.pump()
    assert sink.take() == ["pong"]


def test_who_left_a_stream_gets_no_more_of_it_but_what_it_is_told() -> None:
    hub = make_hub()
    sink, one = reader(hub, room=0)
    for index in range(5):
        hub.publish(STREAM, data(index))
    hub.unsubscribe(STREAM, one)
    hub.tell(one, "unsubscribed", b"unsubscribed")
    hub.publish(STREAM, data(5))
    sink.room = 9
    hub.pump()
    assert sink.take() == ["unsubscribed"]
    assert one.queued_bytes == 0
    assert hub.subscribers(STREAM) == []


def test_who_comes_back_begins_with_the_next_message() -> None:
    hub = make_hub()
    sink, one = reader(hub, room=0)
    hub.publish(STREAM, data(0))
    hub.unsubscribe(STREAM, one)
    hub.subscribe(STREAM, one)
    hub.publish(STREAM, data(1))
    sink.room = 9
    hub.pump()
    assert sink.take() == ["data1:1-2"]


def test_the_hub_says_when_somebody_falls_behind_and_again_after_he_caught_up() -> None:
    called = []
    hub = Hub(lambda: called.append(True))
    sink, one = reader(hub, room=1)
    hub.publish(STREAM, data(0))
    assert called == []
    hub.publish(STREAM, data(1))
    hub.publish(STREAM, data(2))
    assert len(called) == 1
    sink.room = 9
    hub.pump()
    sink.room = 0
    hub.tell(one, "status", b"online")
    assert len(called) == 2


def test_one_that_is_gone_is_forgotten() -> None:
    hub = make_hub()
    sink, one = reader(hub, room=0)
    hub.publish(STREAM, data(0))
    hub.tell(one, "status", b"online")
    hub.forget(one)
    sink.room = 9
    assert not hub.pump()
    hub.publish(STREAM, data(1))
    assert sink.take() == []
    assert hub.subscribers(STREAM) == []


def test_leaving_a_stream_that_was_never_joined_changes_nothing() -> None:
    hub = make_hub()
    hub.unsubscribe("d/never", subscriber(Sink()))
    assert hub.subscribers("d/never") == []


@dataclass
class Reference:
    """What one subscriber must have, computed without any cleverness."""

    sink: Sink
    subscriber: Subscriber
    bound: int
    published: list[Delivery]
    received: list[str]


class Fanout(RuleBasedStateMachine):
    """Any order of publishing, stalling and pumping: what is published is delivered or declared."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = make_hub()
        self.readers: list[Reference] = []
        self.index = 0

    @rule(bound=st.integers(0, 700), room=st.integers(0, 5))
    def join(self, bound: int, room: int) -> None:
        sink, one = reader(self.hub, room, bound)
        self.readers.append(Reference(sink, one, bound, [], []))

    @rule(count=st.integers(1, 50), size=st.integers(20, 300))
    def publish(self, count: int, size: int) -> None:
        delivery = data(self.index, count, size=size)
        self.index += count
        self.hub.publish(STREAM, delivery)
        for one in self.readers:
            one.published.append(delivery)

    @rule(which=st.integers(0, 9), room=st.integers(0, 8))
    def give_room(self, which: int, room: int) -> None:
        if self.readers:
            self.readers[which % len(self.readers)].sink.room = room

    @rule()
    def pump(self) -> None:
        behind = self.hub.pump()
        assert behind == any(one.subscriber.behind for one in self.readers)

    @rule(which=st.integers(0, 9))
    def tell(self, which: int) -> None:
        if self.readers:
            self.hub.tell(self.readers[which % len(self.readers)].subscriber, "note", b"note")

    @invariant()
    def nothing_grows_beyond_its_bound(self) -> None:
        for one in self.readers:
            assert one.subscriber.queued_bytes <= one.bound

    @invariant()
    def nothing_is_lost_that_would_have_fitted(self) -> None:
        """The longest run of the newest messages that fits is never touched."""
        for one in self.readers:
            one.received += one.sink.take()
            fits = 0
            for number, delivery in enumerate(reversed(one.published), 1):
                fits += len(delivery.payload)
                if fits > one.bound:
                    break
                ends = [span(line)[1] for line in one.received if line.startswith("lost")]
                assert all(end <= delivery.index for end in ends), (number, one)

    def teardown(self) -> None:
        for one in self.readers:
            one.sink.room = 1 << 60
        self.hub.pump()
        for one in self.readers:
            one.received += one.sink.take()
            assert not one.subscriber.behind
            assert account(one) == [(d.index, d.end) for d in one.published], one.received


def span(line: str) -> tuple[int, int]:
    first, last = line.split(":")[1].split()[0].split("-")
    return int(first), int(last)


def account(one: Reference) -> list[tuple[int, int]]:
    """The published messages that were delivered or declared, in the order in which that was done."""
    covered: list[tuple[int, int]] = []
    for line in one.received:
        if line == "note":
            continue
        first, last = span(line)
        covered += [(d.index, d.end) for d in one.published if first <= d.index and d.end <= last]
    return covered


TestFanout = Fanout.TestCase


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(0, 2000))
def test_one_stall_is_told_in_one_exact_gap(counts: list[int], bound: int) -> None:
    hub = make_hub()
    sink, _ = reader(hub, room=0, bound=bound)
    index = 0
    for count in counts:
        hub.publish(STREAM, data(index, count))
        index += count
    sink.room = 1 << 60
    hub.pump()
    kept = counts[max(0, len(counts) - bound // 100) :]
    lost = sum(counts) - sum(kept)
    lines = sink.take()
    assert lines[: len(lines) - len(kept)] == ([f"lost 1:0-{lost} slow"] if lost else [])
    assert len(lines) == len(kept) + bool(lost)
