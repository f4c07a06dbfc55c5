"""Fan-out in any order of publishing, stalling and resuming."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.relay.hub import Hub
from gateway.relay.subscriber import ENTRY_BYTES, Policy
from tests.gateway.relay.hub_readers import SIZE, Reader, data, declared, publish, ranges


class Fanout(RuleBasedStateMachine):
    """Any order of publishing, stalling and resuming: what is published is delivered or declared, once."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        self.readers: list[tuple[Reader, int, list[str]]] = []
        self.index = 0

    @rule(bound=st.integers(0, 3000), room=st.integers(0, 5), policy=st.sampled_from(["drop_oldest", "decimate"]))
    def join(self, bound: int, room: int, policy: Policy) -> None:
        self.readers.append((Reader(self.hub, bound, policy, room), self.index, []))

    @rule(count=st.integers(1, 50), size=st.integers(40, 300))
    def publish_data(self, count: int, size: int) -> None:
        publish(self.hub, data(self.index, count, size=size))
        self.index += count

    @rule(count=st.integers(1, 50))
    def publish_gap(self, count: int) -> None:
        publish(self.hub, declared(self.index, count))
        self.index += count

    @rule(which=st.integers(0, 9), room=st.integers(0, 8))
    def give_room(self, which: int, room: int) -> None:
        if self.readers:
            self.readers[which % len(self.readers)][0].give(room)

    @rule(which=st.integers(0, 9))
    def tell(self, which: int) -> None:
        if self.readers:
            self.readers[which % len(self.readers)][0].subscriber.note("note", b"note\n")

    @invariant()
    def nothing_grows_beyond_its_bound(self) -> None:
        assert all(one.subscriber.queued_bytes <= one.bound for one, _, _ in self.readers)

    @invariant()
    def nothing_waits_for_who_takes_more(self) -> None:
        assert not any(one.sink.room and one.subscriber.queued for one, _, _ in self.readers)

    def teardown(self) -> None:
        for one, joined, _ in self.readers:
            one.give(1 << 60)
            assert one.subscriber.ready
            expected = [(joined, self.index)] if joined < self.index else []
            assert ranges(one.take()) == expected


TestFanout = Fanout.TestCase


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(0, 20))
def test_one_stall_is_told_in_one_exact_gap(counts: list[int], fitting: int) -> None:
    hub = Hub()
    reader = Reader(hub, room=0, bound=fitting * (SIZE + ENTRY_BYTES))
    index = 0
    for count in counts:
        publish(hub, data(index, count))
        index += count
    reader.give(1 << 60)
    kept = counts[max(0, len(counts) - fitting) :]
    lost = sum(counts) - sum(kept)
    came = reader.take()
    assert came[: len(came) - len(kept)] == ([f"slow 1:0-{lost}"] if lost else [])
    assert len(came) == len(kept) + bool(lost)
