"""Fan-out: whoever keeps up gets everything at once; whoever does not gets what fits, and is told the rest."""

from __future__ import annotations

import pytest

from gateway.relay.delivery import Delivery
from gateway.relay.hub import Hub
from gateway.relay.subscriber import ENTRY_BYTES, POLICIES, Policy, Subscriber
from tests.gateway.relay.hub_readers import (
    SIZE,
    STREAM,
    THREE,
    Reader,
    Sink,
    data,
    declared,
    lines,
    publish,
    ranges,
)


def test_who_keeps_up_is_written_to_at_once_and_has_no_queue() -> None:
    hub = Hub()
    reader = Reader(hub)
    for index in range(5):
        publish(hub, data(index))
        assert reader.take() == [f"data 1:{index}-{index + 1}"]
        assert (reader.subscriber.queued_bytes, reader.subscriber.ready) == (0, True)


def test_what_is_for_one_stream_is_for_no_other() -> None:
    hub = Hub()
    reader = Reader(hub)
    hub.publish("d/other", data(0))
    assert reader.take() == []


def test_a_wire_form_is_made_once_for_all() -> None:
    made = []

    def form(delivery: Delivery) -> bytes:
        made.append(delivery)
        return delivery.payload

    hub = Hub()
    sinks = [Sink() for _ in range(10)]
    stalled = [Sink(0) for _ in range(3)]
    for sink in sinks + stalled:
        subscriber = Subscriber(sink, form, THREE)
        if sink in stalled:
            subscriber.stall()
        hub.subscribe(STREAM, subscriber)
    publish(hub, data(0))
    assert len(made) == 1
    assert all(sink.wires[0] is sinks[0].wires[0] for sink in sinks)


def test_a_message_without_a_form_is_not_written() -> None:
    hub = Hub()
    healthy, stalled = Sink(), Sink(0)
    for sink in (healthy, stalled):
        subscriber = Subscriber(sink, lambda delivery: b"" if delivery.span.reason else b"x", THREE)
        if sink is stalled:
            subscriber.stall()
        hub.subscribe(STREAM, subscriber)
    publish(hub, data(0), declared(1, 5), data(6))
    stalled.room = 9
    subscriber.resume()
    assert healthy.wires == [b"x", b"x"]
    assert b"".join(stalled.wires) == b"xx"


def test_what_waits_follows_in_order_when_there_is_room_again() -> None:
    hub = Hub()
    reader = Reader(hub, room=0)
    publish(hub, data(0), data(1), data(2))
    assert (reader.subscriber.queued, reader.subscriber.queued_bytes) == (3, THREE)
    reader.give(9)
    publish(hub, data(3))
    assert reader.take() == ["data 1:0-1", "data 1:1-2", "data 1:2-3", "data 1:3-4"]
    assert (reader.subscriber.queued_bytes, reader.subscriber.lost_frames) == (0, 0)


def test_what_does_not_fit_is_lost_from_the_oldest_on_and_declared_before_the_next_data() -> None:
    hub = Hub()
    reader = Reader(hub, room=0)
    for index in range(0, 100, 10):
        publish(hub, data(index, 10))
        assert reader.subscriber.queued_bytes <= THREE
    reader.give(9)
    assert reader.take() == ["slow 1:0-70", "data 1:70-80", "data 1:80-90", "data 1:90-100"]
    assert reader.subscriber.lost_frames == 70


def test_who_stalls_at_the_very_last_that_waited_is_written_to_again_when_there_is_room() -> None:
    hub = Hub()
    reader = Reader(hub, room=0)
    publish(hub, data(0))
    reader.give(1)
    assert reader.take() == ["data 1:0-1"]
    reader.give(9)
    publish(hub, data(1))
    assert reader.take() == ["data 1:1-2"]


def test_losses_in_two_stalls_are_two_gaps() -> None:
    hub = Hub()
    reader = Reader(hub, room=0)
    publish(hub, *(data(index) for index in range(5)))
    reader.give(9)
    reader.give(0)
    publish(hub, *(data(index) for index in range(5, 10)))
    reader.give(9)
    assert [line for line in reader.take() if line.startswith("slow")] == ["slow 1:0-2", "slow 1:5-7"]


def test_losses_that_do_not_touch_are_declared_apart() -> None:
    """Frames 2 to 9 never came here: they are not this subscriber's to declare."""
    hub = Hub()
    reader = Reader(hub, room=0, bound=SIZE + ENTRY_BYTES)
    publish(hub, data(0), data(1), data(10), data(0, epoch=2), data(1, epoch=2))
    reader.give(9)
    assert reader.take() == ["slow 1:0-2", "slow 1:10-11", "slow 2:0-1", "data 2:1-2"]


def test_losses_of_live_data_and_of_the_backlog_beside_it_are_merged() -> None:
    hub = Hub()
    reader = Reader(hub, room=0, bound=SIZE + ENTRY_BYTES)
    for number in range(1000):
        publish(hub, data(5000 + number), data(number))
    reader.give(9)
    assert reader.take() == ["slow 1:0-999", "slow 1:5000-6000", "data 1:999-1000"]


def test_a_gap_that_was_missed_keeps_its_reason() -> None:
    hub = Hub()
    reader = Reader(hub, room=0, bound=SIZE + ENTRY_BYTES)
    publish(hub, data(0), declared(1, 4), data(5), data(6))
    reader.give(9)
    assert reader.take() == ["slow 1:0-1", "overrun 1:1-5", "slow 1:5-6", "data 1:6-7"]
    assert reader.subscriber.lost_frames == 2, "what the device lost was not lost here"


def test_when_there_are_too_many_gaps_their_reasons_give_way_and_the_range_stays_exact() -> None:
    hub = Hub()
    reader = Reader(hub, room=0, bound=SIZE + ENTRY_BYTES)
    for index in range(0, 5000, 2):
        publish(hub, data(index), declared(index + 1, 1))
    publish(hub, data(5000))
    reader.give(9)
    assert reader.take() == ["slow 1:0-5000", "data 1:5000-5001"]
    assert reader.sink.ended == []


def test_who_misses_more_separate_ranges_than_can_be_listed_is_sent_away() -> None:
    hub = Hub()
    reader = Reader(hub, room=0, bound=SIZE + ENTRY_BYTES)
    publish(hub, *(data(index) for index in range(0, 5000, 2)))
    assert reader.sink.ended == ["gaps"]
    assert reader.subscriber.queued_bytes == 0


def test_a_message_larger_than_the_bound_is_lost_to_who_is_behind_and_delivered_to_who_is_not() -> None:
    hub = Hub()
    stalled, healthy = Reader(hub, room=0), Reader(hub)
    publish(hub, data(0, size=10_000))
    assert stalled.subscriber.queued_bytes == 0
    assert healthy.take() == ["data 1:0-1"]
    stalled.give(1)
    assert stalled.take() == ["slow 1:0-1"]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_others_do_not_notice_one_that_stalls(policy: Policy) -> None:
    hub = Hub()
    healthy = [Reader(hub) for _ in range(3)]
    stalled = Reader(hub, room=0, policy=policy)
    healthy.append(Reader(hub))
    for index in range(1000):
        publish(hub, data(index))
        for reader in healthy:
            assert reader.take() == [f"data 1:{index}-{index + 1}"]
    assert stalled.subscriber.queued_bytes <= THREE


def test_decimation_keeps_the_whole_time_and_declares_what_it_leaves_out() -> None:
    hub = Hub()
    reader = Reader(hub, room=0, policy="decimate", bound=64 * (SIZE + ENTRY_BYTES))
    publish(hub, *(data(index) for index in range(1000)))
    reader.give(1 << 60)
    came = reader.take()
    assert ranges(came) == [(0, 1000)]
    kept = [first for first, _ in ranges(line for line in came if line.startswith("data"))]
    assert kept
    assert all(later - earlier < 300 for earlier, later in zip([0, *kept], [*kept, 1000], strict=True)), kept
    assert reader.subscriber.lost_frames == 1000 - sum(line.startswith("data") for line in came)


def test_decimation_spares_what_the_device_declared() -> None:
    hub = Hub()
    reader = Reader(hub, room=0, policy="decimate", bound=8 * (SIZE + ENTRY_BYTES))
    publish(hub, declared(0, 5), *(data(index) for index in range(5, 100)))
    reader.give(1 << 60)
    assert reader.take()[0] == "overrun 1:0-5"


def test_who_wants_to_be_disconnected_is_when_the_queue_is_full() -> None:
    hub = Hub()
    reader = Reader(hub, room=0, policy="disconnect")
    publish(hub, data(0), data(1), data(2))
    assert reader.sink.ended == []
    publish(hub, data(3))
    assert reader.sink.ended == ["slow"]
    publish(hub, *(data(index) for index in range(4, 100)))
    assert (reader.sink.ended, reader.subscriber.queued_bytes) == (["slow"], 0)


def test_a_note_goes_before_what_waits_and_the_newer_of_two_replaces_the_older() -> None:
    hub = Hub()
    reader = Reader(hub, room=0)
    publish(hub, *(data(index) for index in range(5)))
    for about, wire in (("status", b"online\n"), ("meta", b"meta\n"), ("status", b"offline\n")):
        reader.subscriber.note(about, wire)
    reader.give(9)
    assert reader.take()[:3] == ["meta", "offline", "slow 1:0-2"]


def test_a_note_to_who_keeps_up_is_written_at_once() -> None:
    hub = Hub()
    reader = Reader(hub)
    reader.subscriber.note("status", b"online\n")
    assert reader.take() == ["online"]


def test_a_note_that_fills_the_sink_makes_the_next_message_wait() -> None:
    hub = Hub()
    reader = Reader(hub, room=1)
    reader.subscriber.note("status", b"online\n")
    publish(hub, data(0))
    assert reader.take() == ["online"]
    reader.give(1)
    assert reader.take() == ["data 1:0-1"]


def test_a_note_to_one_that_stalls_arrives_though_nothing_is_published_after_it() -> None:
    hub = Hub()
    reader = Reader(hub, room=0)
    reader.subscriber.note("pong", b"pong\n")
    reader.give(1)
    assert reader.take() == ["pong"]


def test_who_left_a_stream_gets_no_more_of_it_but_what_it_is_told() -> None:
    hub = Hub()
    reader = Reader(hub, room=0)
    publish(hub, *(data(index) for index in range(5)))
    hub.unsubscribe(STREAM, reader.subscriber)
    reader.subscriber.note("unsubscribed", b"unsubscribed\n")
    publish(hub, data(5))
    reader.give(9)
    assert reader.take() == ["unsubscribed"]
    assert (hub.subscribers(STREAM), hub.watched(STREAM)) == ([], False)


def test_who_comes_back_begins_with_the_next_message() -> None:
    hub = Hub()
    reader = Reader(hub, room=0)
    publish(hub, data(0))
    hub.unsubscribe(STREAM, reader.subscriber)
    hub.subscribe(STREAM, reader.subscriber)
    publish(hub, data(1))
    reader.give(9)
    assert reader.take() == ["data 1:1-2"]


def test_leaving_a_stream_that_was_never_joined_changes_nothing() -> None:
    hub = Hub()
    hub.unsubscribe("d/never", Subscriber(Sink(), lines, THREE))
    assert hub.subscribers("d/never") == []


def test_who_has_much_to_catch_up_with_lets_the_others_have_their_turn() -> None:
    hub = Hub()
    reader = Reader(hub, room=0, bound=8 << 20)
    publish(hub, *(data(index, size=64 << 10) for index in range(64)))
    reader.sink.room = 1 << 60
    reader.subscriber.resume()
    assert len(reader.sink.wires) < 64
    assert reader.sink.later
    publish(hub, data(64))
    while reader.sink.later:
        reader.sink.later.pop(0)()
    assert ranges(reader.take()) == [(0, 65)]
