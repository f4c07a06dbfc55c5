"""What an outbox that is full gives up, and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.device.outbox import Drop, Durability
from tests.gateway.device.outboxes import FRAMES, batch, bench, gap


@pytest.mark.parametrize("durability", ["spill", "always"])
def test_an_outage_longer_than_the_outbox_loses_exactly_the_oldest(tmp_path: Path, durability: Durability) -> None:
    box = bench(tmp_path, durability=durability)
    total = 4000
    for number in range(total):
        box.outbox.put(batch(number))
        box.outbox.put(batch(number, stream="spo2", size=100))
        if number % 50 == 0:
            box.wait(1.0)
        assert box.outbox.counters().bytes <= box.settings.max_bytes
    box.drain()
    for stream in ("ecg", "spo2"):
        account = box.account.of(stream, 1)
        (lost,) = account.lost["outbox_full"]
        assert lost[0] == 0
        assert account.delivered == total * FRAMES - lost[1]
        assert (account.undeclared(total * FRAMES), account.duplicates) == (0, 0)
        gaps = [record for record in box.received if record.stream == stream and record.reason]
        assert len(gaps) == 1, "adjacent gaps are merged"
    kept = sum(record.size for record in box.received)
    assert kept > box.settings.max_bytes // 2
    assert box.outbox.counters().dropped["outbox_full"] == sum(
        account.declared for account in box.account.streams.values()
    )


@pytest.mark.parametrize("durability", ["spill", "always"])
def test_or_exactly_the_newest(tmp_path: Path, durability: Durability) -> None:
    box = bench(tmp_path, durability=durability, drop="newest")
    total = 4000
    for number in range(total):
        box.outbox.put(batch(number))
        if number % 50 == 0:
            box.wait(1.0)
        assert box.outbox.counters().bytes <= box.settings.max_bytes
    box.drain()
    account = box.account.of("ecg", 1)
    (lost,) = account.lost["outbox_full"]
    assert lost == (account.delivered, total * FRAMES)
    assert account.delivered * 628 // FRAMES > box.settings.max_bytes // 2
    assert len([record for record in box.received if record.reason]) == 1


@pytest.mark.parametrize("drop", ["oldest", "newest"])
def test_without_a_directory_memory_alone_keeps_the_promise(drop: Drop) -> None:
    box = bench(None, drop=drop)
    for number in range(4000):
        box.outbox.put(batch(number))
        assert box.outbox.counters().bytes <= box.settings.max_bytes
    box.drain()
    account = box.account.of("ecg", 1)
    assert (account.undeclared(4000 * FRAMES), account.duplicates) == (0, 0)
    assert [len(lost) for lost in account.lost.values()] == [1]


def test_a_gap_that_was_put_keeps_its_reason_when_the_outbox_is_full(tmp_path: Path) -> None:
    box = bench(tmp_path)
    for number in range(4000):
        box.outbox.put(gap(number, "overrun") if number == 100 else batch(number))
        if number % 50 == 0:
            box.wait(1.0)
    box.drain()
    account = box.account.of("ecg", 1)
    assert list(account.lost["overrun"]) == [(100 * FRAMES, 101 * FRAMES)]
    assert next(iter(account.lost["outbox_full"])) == (0, 100 * FRAMES)
    assert account.undeclared(4000 * FRAMES) == 0


def test_gaps_alone_cannot_fill_the_outbox(tmp_path: Path) -> None:
    box = bench(tmp_path)
    for number in range(20_000):
        box.outbox.put(gap(number, "overrun" if number % 2 else "late"))
        if number % 500 == 0:
            box.wait(1.0)
    assert box.outbox.counters().bytes <= box.settings.max_bytes // 8
    box.drain()
    assert box.account.of("ecg", 1).undeclared(20_000 * FRAMES) == 0


def test_what_may_have_arrived_is_not_declared_lost_while_there_is_another_choice(tmp_path: Path) -> None:
    box = bench(tmp_path)
    box.outbox.connected()
    for number in range(10):
        box.outbox.put(batch(number))
    sent = box.send()
    assert len(sent) == 10
    box.outbox.release_all()
    for number in range(10, 4000):
        box.outbox.put(batch(number))
        if number % 50 == 0:
            box.wait(1.0)
    box.drain()
    assert next(iter(box.account.of("ecg", 1).lost["outbox_full"]))[0] == 10 * FRAMES


def test_a_full_outbox_says_so_once_until_it_has_emptied(tmp_path: Path) -> None:
    box = bench(tmp_path)
    for outage in range(2):
        for number in range(4000):
            box.outbox.put(batch(number, epoch=outage + 1))
            if number % 50 == 0:
                box.wait(1.0)
        assert box.names == ["outbox_full"] * (outage + 1)
        box.drain()
        box.outbox.release_all()
