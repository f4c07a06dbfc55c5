"""What the outbox promises to acquisition and publisher."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import pytest

from gateway.device.outbox import Durability, Outbox, OutboxSettings, PreviousEpoch, Record
from tests.gateway.device.outboxes import FRAMES, Bench, batch, bench, settings_for


def test_nothing_is_handed_out_before_the_broker_is_there(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.put(batch(0))
    assert box.outbox.take() is None
    box.outbox.connected()
    assert box.outbox.take() is not None


def test_records_are_handed_out_in_order_and_once(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.connected()
    for number in range(20):
        box.outbox.put(batch(number))
    sent = box.send()
    assert [sending.record for sending in sent] == [batch(number) for number in range(20)]
    for sending in sent:
        box.outbox.ack(sending.token)
    assert box.outbox.counters().records == 0


def test_what_was_not_acknowledged_is_handed_out_again(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.connected()
    for number in range(4):
        box.outbox.put(batch(number))
    sent = box.send()
    box.outbox.ack(sent[1].token)
    box.outbox.release_all()
    box.outbox.ack(sent[0].token)
    box.outbox.connected()
    assert [sending.record.index for sending in box.send()] == [0, 2 * FRAMES, 3 * FRAMES]


def test_an_acknowledgement_from_an_earlier_connection_stands_for_nothing(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.connected()
    box.outbox.put(batch(0))
    (stale,) = box.send()
    box.outbox.release_all()
    box.outbox.connected()
    (again,) = box.send()
    box.outbox.ack(stale.token)
    assert box.outbox.counters().in_flight == 1
    box.outbox.ack(again.token)
    assert box.outbox.counters().records == 0


@pytest.mark.parametrize("on_disk", [False, True])
def test_one_that_could_not_be_sent_goes_back_to_its_place(tmp_path: Path, on_disk: bool) -> None:
    box = bench(tmp_path)
    for number in range(5):
        box.outbox.put(batch(number))
    if on_disk:
        box.wait(1.0)
    box.outbox.connected()
    box.outbox.step()
    first, second = box.send(2)
    box.outbox.release(first.token)
    box.outbox.release(first.token)
    box.arrive(second)
    box.drain()
    account = box.account.of("ecg", 1)
    assert (account.delivered, account.duplicates) == (5 * FRAMES, 0)


def test_what_was_read_back_from_disk_does_not_stay_in_memory_after_the_connection(tmp_path: Path) -> None:
    box = bench(tmp_path)
    for number in range(30):
        box.outbox.put(batch(number))
    box.wait(1.0)
    box.outbox.connected()
    box.outbox.step()
    assert len(box.send(5)) == 5
    box.outbox.release_all()
    assert box.outbox.counters().memory_records == 0
    box.drain()
    assert box.account.of("ecg", 1).delivered == 30 * FRAMES


def test_the_window_is_the_smaller_of_ours_and_the_broker_s(tmp_path: Path) -> None:
    box = bench(tmp_path, window=10)
    for number in range(50):
        box.outbox.put(batch(number))
    box.outbox.connected(window=3)
    assert len(box.send()) == 3
    box.outbox.release_all()
    box.outbox.connected(window=65535)
    assert len(box.send()) == 10


def test_bytes_in_flight_are_bounded_and_one_record_always_goes(tmp_path: Path) -> None:
    box = bench(tmp_path, window_bytes=10_000)
    box.outbox.connected()
    for number in range(3):
        box.outbox.put(batch(number, size=20_000))
    assert len(box.send()) == 1
    assert box.outbox.counters().in_flight_bytes > 10_000


def test_on_a_good_connection_spill_writes_no_record(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.connected()
    for number in range(100):
        box.outbox.put(batch(number))
        for sending in box.send():
            box.arrive(sending)
        box.wait(0.1)
    assert box.committed == []
    assert box.account.of("ecg", 1).delivered == 100 * FRAMES


def test_spill_writes_what_is_unacknowledged_for_a_second(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.connected()
    box.outbox.put(batch(0))
    box.outbox.put(batch(1))
    box.outbox.take()
    box.wait(0.5)
    assert box.committed == []
    box.wait(0.6)
    assert box.committed == [batch(0), batch(1)]


def test_spill_writes_everything_when_the_broker_is_away(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.connected()
    for number in range(5):
        box.outbox.put(batch(number))
    box.send(2)
    box.outbox.release_all()
    box.wait(1.0)
    assert box.committed == [batch(number) for number in range(5)]
    assert box.outbox.counters().memory_records == 0


@pytest.mark.parametrize("online", [False, True])
def test_in_spill_no_more_than_a_second_and_a_half_is_in_memory_alone(tmp_path: Path, online: bool) -> None:
    """The bound in docs/outbox.md for kill -9: nothing is acknowledged, the thread comes twice a second."""
    box = bench(tmp_path)
    if online:
        box.outbox.connected()
    worst = 0
    for number in range(1000):
        box.outbox.put(batch(number))
        box.send()
        box.now_ns += 20_000_000
        worst = max(worst, number + 1 - box.outbox.counters().disk_records)
        if number % 25 == 24:
            box.outbox.step()
    assert 0 < worst * 0.02 <= 1.5


def test_always_hands_out_only_what_is_on_disk(tmp_path: Path) -> None:
    box = bench(tmp_path, durability="always")
    box.outbox.connected()
    box.outbox.put(batch(0))
    assert box.outbox.take() is None
    box.outbox.step()
    assert box.committed == [batch(0)]
    sending = box.outbox.take()
    assert sending is not None
    assert sending.record == batch(0)


def test_after_an_outage_live_goes_first_and_the_backlog_has_its_share(tmp_path: Path) -> None:
    box = bench(tmp_path, window=10, backlog_share=0.3)
    for number in range(100):
        box.outbox.put(batch(number))
    box.wait(1.0)
    box.outbox.connected()
    box.outbox.step()
    for number in range(100, 104):
        box.outbox.put(batch(number))
    sent = box.send()
    assert [sending.backlog for sending in sent] == [False] * 4 + [True] * 3
    assert [sending.record.index // FRAMES for sending in sent] == [100, 101, 102, 103, 0, 1, 2]
    box.outbox.put(batch(104))
    live = box.outbox.take()
    assert live is not None
    assert live.record == batch(104)


def test_live_data_on_a_slow_link_becomes_backlog_and_does_not_age_in_the_queue(tmp_path: Path) -> None:
    box = bench(tmp_path, window=1)
    box.outbox.connected()
    for number in range(10):
        box.outbox.put(batch(number))
    box.wait(3.0)
    box.outbox.put(batch(10))
    assert [sending.record for sending in box.send()] == [batch(10)]


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    box = bench(tmp_path)
    for number in range(30):
        box.outbox.put(batch(number))
    box.outbox.connected()
    for sending in box.send(10):
        box.arrive(sending)
    box.outbox.close()
    again = bench(tmp_path)
    again.account = box.account
    backlog = ((10 * FRAMES, 30 * FRAMES),)
    assert again.outbox.previous() == [PreviousEpoch("ecg", 1, 30 * FRAMES, backlog)]
    again.drain()
    account = box.account.of("ecg", 1)
    assert (account.delivered, account.duplicates, account.undeclared()) == (30 * FRAMES, 0, 0)


@pytest.mark.parametrize("durability", ["spill", "always"])
def test_how_far_an_epoch_got_is_known_though_everything_was_delivered(
    tmp_path: Path, durability: Durability
) -> None:
    box = bench(tmp_path, durability=durability)
    box.outbox.connected()
    for number in range(7):
        box.outbox.put(batch(number, epoch=5))
        box.wait(0.1)
        for sending in box.send():
            box.arrive(sending)
    box.outbox.close()
    previous = bench(tmp_path).outbox.previous()
    assert previous == [PreviousEpoch("ecg", 5, 7 * FRAMES, ())]
    assert previous[0].as_dict() == {"stream": "ecg", "epoch": 5, "reached": 70, "backlog": []}


def test_epochs_of_long_ago_are_forgotten(tmp_path: Path) -> None:
    for epoch in range(1, 21):
        box = bench(tmp_path)
        box.outbox.connected()
        box.outbox.put(batch(0, epoch=epoch))
        for sending in box.send():
            box.arrive(sending)
        box.outbox.close()
    previous = bench(tmp_path).outbox.previous()
    assert previous is not None
    assert [known.epoch for known in previous] == list(range(13, 21))


def test_the_file_shrinks_when_it_was_drained(tmp_path: Path) -> None:
    box = bench(tmp_path, max_bytes=8 << 20)
    for number in range(4000):
        box.outbox.put(batch(number))
        if number % 100 == 0:
            box.wait(1.0)
    box.outbox.close()
    file = tmp_path / "outbox.db"
    large = file.stat().st_size
    assert large > 2_000_000
    again = Bench(settings_for(tmp_path, max_bytes=8 << 20))
    again.drain()
    again.wait(20.0)
    again.outbox.close()
    assert file.stat().st_size < large // 10


def test_the_age_of_the_oldest_is_told(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.put(batch(0))
    box.wait(2.0)
    box.wait(40.0)
    box.outbox.put(batch(1))
    assert box.outbox.counters().disk_records == 1
    assert box.outbox.counters().oldest_s == pytest.approx(42.0)


def test_rows_of_an_earlier_boot_are_as_old_as_this_one(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.now_ns = 10**18
    box.outbox.put(batch(0))
    box.outbox.close()
    again = Bench(settings_for(tmp_path))
    again.outbox.step()
    again.wait(5.0)
    assert 0 <= again.outbox.counters().oldest_s <= 5.0


def test_the_threads_hand_everything_over(tmp_path: Path) -> None:
    """Two acquisitions, the disk's thread, and a publisher whose connection comes and goes."""
    ready = threading.Event()
    settings = OutboxSettings(directory=tmp_path, durability="always", group_s=0.001, window=32)
    outbox = Outbox(settings, on_ready=ready.set)
    outbox.start()
    assert outbox.previous(10.0) == []
    box = Bench(settings_for(None))
    box.outbox = outbox
    total = 600

    def acquire(stream: str) -> None:
        for number in range(total):
            outbox.put(batch(number, stream=stream))

    acquisitions = [threading.Thread(target=acquire, args=(stream,)) for stream in ("ecg", "spo2")]
    for thread in acquisitions:
        thread.start()
    outbox.connected()
    cuts = 0
    while sum(account.delivered for account in box.account.streams.values()) < 2 * total * FRAMES:
        sending = outbox.take()
        if sending is None:
            assert ready.wait(20.0), "the outbox says when there is more"
            ready.clear()
            continue
        box.arrive(sending)
        if len(box.received) % 200 == 0:
            cuts += 1
            outbox.take()
            outbox.release_all()
            outbox.connected()
    for thread in acquisitions:
        thread.join()
    assert cuts >= 6
    assert box.account.undeclared == 0
    outbox.close()


def test_flush_waits_until_everything_is_on_disk(tmp_path: Path) -> None:
    outbox = Outbox(OutboxSettings(directory=tmp_path))
    outbox.start()
    for number in range(10):
        outbox.put(batch(number))
    assert outbox.flush(20.0)
    assert outbox.counters().disk_records == 10
    outbox.close()


def test_a_consumer_may_wait_for_the_next_record(tmp_path: Path) -> None:
    outbox = Outbox(OutboxSettings(directory=tmp_path, durability="always"))
    outbox.start()
    outbox.connected()
    threading.Thread(target=outbox.put, args=(batch(0),)).start()
    sending = outbox.take(timeout=20.0)
    assert sending is not None
    assert sending.record == batch(0)
    outbox.close()


def test_gaps_are_made_in_the_record_s_codec() -> None:
    box = bench(None, max_bytes=4096, window_bytes=512)
    for number in range(20):
        record = batch(number)
        box.outbox.put(Record("ecg", 1, record.index, FRAMES, record.payload, codec="json"))
    box.outbox.connected()
    first = box.outbox.take()
    assert first is not None
    assert first.record.codec == "json"
    assert first.record.payload.startswith(b'{"v":1')


@pytest.mark.parametrize("durability", ["spill", "always"])
def test_memory_stays_flat_through_an_outage_longer_than_the_outbox(
    tmp_path: Path, durability: Durability
) -> None:
    box = bench(tmp_path, durability=durability, max_bytes=3 << 20, memory_bytes=256 << 10)
    tracemalloc.start()
    try:
        peaks = []
        for part in range(4):
            for number in range(part * 2500, (part + 1) * 2500):
                box.outbox.put(batch(number))
                if number % 100 == 0:
                    box.wait(1.0)
                    box.committed.clear()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
    finally:
        tracemalloc.stop()
    assert box.outbox.counters().dropped["outbox_full"] > 2000 * FRAMES
    assert max(peaks) < 4 * box.settings.memory_bytes
    assert peaks[-1] < 1.2 * peaks[1]
