"""The outbox's decisions where two threads meet: what one does while the other is writing."""

from __future__ import annotations

from pathlib import Path

from gateway.account import IntervalSet
from gateway.device.outbox import Drop, OutboxSettings, encode_gap
from gateway.device.outbox.core import Core
from gateway.device.outbox.disk import Contents, Work, Written
from tests.gateway.device.outboxes import FRAMES, batch

NOW = 1_000_000_000
LATER = NOW + 5_000_000_000


def core(drop: Drop = "oldest") -> Core:
    """With a file that is open and empty."""
    made = Core(OutboxSettings(directory=Path("unused"), max_bytes=64 << 10, drop=drop), encode_gap)
    made.adopt(Contents(), NOW, fresh=False)
    return made


def begin(made: Core, records: int) -> Work:
    """So many records are put, and are being written."""
    for number in range(records):
        made.put(batch(number), NOW)
    work = made.work(LATER)
    assert work is not None
    return work


def written(work: Work) -> Written:
    """All of it, in rows from 1 on."""
    done = Written(rows=[(entry, row) for row, entry in enumerate(work.entries, 1)])
    done.batch_bytes = sum(entry.record.size for entry in work.entries)
    return done


def test_what_is_acknowledged_while_it_is_written_is_deleted_afterwards() -> None:
    made = core()
    work = begin(made, 3)
    made.connected(None)
    sending = made.take()
    assert sending is not None
    made.ack(sending.token)
    made.wrote(work, written(work), LATER)
    assert made.counters(LATER).records == 2
    assert list(made.ledger.doomed) == [(1, 2)]


def test_what_is_sent_while_it_is_written_is_not_written_again() -> None:
    made = core()
    work = begin(made, 3)
    made.connected(None)
    assert made.take() is not None
    assert made.work(LATER) is None
    made.wrote(work, written(work), LATER)
    assert made.work(LATER) is None
    assert made.counters(LATER).disk_records == 3


def test_what_could_not_be_written_is_written_the_next_time() -> None:
    made = core()
    work = begin(made, 3)
    made.failed(work)
    again = made.work(LATER)
    assert again is not None
    assert again.entries == work.entries


def test_what_is_being_written_is_not_dropped() -> None:
    made = core()
    work = begin(made, 8)
    beginning = [entry.record for entry in work.entries]
    for number in range(8, 200):
        made.put(batch(number), LATER)
    assert [entry.record for entry in work.entries] == beginning


def test_what_is_acknowledged_while_the_file_is_away_is_not_sent_again() -> None:
    made = core()
    work = begin(made, 4)
    made.connected(None)
    first, second = made.take(), made.take()
    assert first is not None
    assert second is not None
    made.wrote(work, written(work), NOW + 1)
    made.closed()
    made.ack(first.token)
    contents = Contents(rows=IntervalSet([(1, 2), (3, 5)]), batch_bytes=3 * first.record.size)
    contents.holdings["ecg", 1] = IntervalSet([(0, FRAMES), (2 * FRAMES, 4 * FRAMES)])
    made.ack(second.token)
    assert made.adopt(contents, LATER, fresh=False) == 0, "one is lost from disk, and was acknowledged"
    assert list(made.ledger.doomed) == [(1, 2)]
    assert list(made.ledger.holdings["ecg", 1]) == [(2 * FRAMES, 4 * FRAMES)]
    assert made.counters(LATER).bytes == 2 * first.record.size


def test_rows_that_are_gone_but_still_in_memory_are_not_lost() -> None:
    made = core()
    work = begin(made, 4)
    made.connected(None)
    made.take()
    made.wrote(work, written(work), NOW + 1)
    contents = Contents(rows=IntervalSet([(3, 4)]))
    contents.holdings["ecg", 1] = IntervalSet([(2 * FRAMES, 3 * FRAMES)])
    lost = made.adopt(contents, LATER, fresh=True)
    assert lost == 0
    made.release_all()
    again = made.work(LATER, everything=True)
    assert again is not None
    assert [entry.record.index // FRAMES for entry in again.entries] == [0, 1, 3]


def test_how_far_epochs_got_is_noted_again_when_the_file_is_another_one() -> None:
    made = Core(OutboxSettings(directory=Path("unused")), encode_gap)
    marks = {("ecg", 7): 100, ("spo2", 7): 30}
    made.adopt(Contents(marks=dict(marks)), NOW, fresh=False)
    assert made.work(LATER, everything=True) is None, "it is all noted"
    made.adopt(Contents(), LATER, fresh=True)
    work = made.work(LATER, everything=True)
    assert work is not None
    assert work.marks == marks
    assert [(known.stream, known.epoch, known.reached) for known in made.previous] == [
        ("ecg", 7, 100),
        ("spo2", 7, 30),
    ]
