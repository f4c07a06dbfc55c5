"""What was acknowledged lately, and what is known of the rest."""

from __future__ import annotations

from gateway.account import IntervalSet, Range
from gateway.device.kept import MOST_EPOCHS, Kept
from gateway.device.outbox import Record
from tests.gateway.device.outboxes import FRAMES, batch

SIZE = batch(0).size


def kept_of(count: int, *, room: int = 1000, epoch: int = 1) -> Kept:
    kept = Kept(room * SIZE)
    for number in range(count):
        kept.add(batch(number, epoch=epoch))
    return kept


def find(kept: Kept, *wanted: Range, stream: str = "ecg", epoch: int = 1) -> tuple[list[Record], list[Range]]:
    return kept.find(stream, epoch, IntervalSet(wanted))


def test_every_record_that_touches_the_range_is_found() -> None:
    found, gone = find(kept_of(10), (FRAMES + 1, 3 * FRAMES + 1))
    assert [record.index for record in found] == [FRAMES, 2 * FRAMES, 3 * FRAMES]
    assert gone == []


def test_a_record_that_several_ranges_touch_is_found_once() -> None:
    found, _ = find(kept_of(10), (0, 1), (2, 3), (5 * FRAMES, 5 * FRAMES + 1))
    assert [record.index for record in found] == [0, 5 * FRAMES]


def test_only_the_stream_and_the_epoch_that_were_asked_for_are_found() -> None:
    kept = kept_of(3)
    kept.add(batch(0, stream="other"))
    kept.add(batch(0, epoch=2))
    assert find(kept, (0, FRAMES)) == ([batch(0)], [])
    assert find(kept, (0, 100), stream="nothing") == ([], [])
    assert find(kept, (0, 100), epoch=3) == ([], [])


def test_the_oldest_make_room_and_are_known_to_be_gone() -> None:
    kept = kept_of(10, room=4)
    assert kept.bytes == 4 * SIZE
    found, gone = find(kept, (0, 10 * FRAMES))
    assert [record.index // FRAMES for record in found] == [6, 7, 8, 9]
    assert gone == [(0, 6 * FRAMES)]


def test_what_was_never_acknowledged_is_neither_found_nor_gone() -> None:
    kept = Kept(2 * SIZE)
    for number in (0, 1, 5, 6):
        kept.add(batch(number))
    found, gone = find(kept, (0, 100 * FRAMES))
    assert [record.index // FRAMES for record in found] == [5, 6]
    assert gone == [(0, 2 * FRAMES)]


def test_gone_is_only_what_was_asked_for() -> None:
    kept = kept_of(10, room=2)
    assert find(kept, (3, 5), (7, 9), (12, 14))[1] == [(3, 5), (7, 9), (12, 14)]


def test_without_room_everything_is_gone_at_once() -> None:
    kept = kept_of(3, room=0)
    assert kept.bytes == 0
    assert find(kept, (0, 1000)) == ([], [(0, 3 * FRAMES)])


def test_epochs_without_end_do_not_fill_the_memory() -> None:
    kept = Kept(SIZE)
    for epoch in range(1, 2 * MOST_EPOCHS):
        kept.add(batch(0, epoch=epoch))
    newest = 2 * MOST_EPOCHS - 1
    assert find(kept, (0, FRAMES), epoch=newest)[0] == [batch(0, epoch=newest)]
    assert find(kept, (0, FRAMES), epoch=MOST_EPOCHS) == ([], [(0, FRAMES)])
    assert find(kept, (0, FRAMES), epoch=MOST_EPOCHS - 1) == ([], [])


def test_backlog_of_an_epoch_older_than_all_that_are_remembered_is_kept_nevertheless() -> None:
    kept = Kept(1000 * SIZE)
    for epoch in range(2, MOST_EPOCHS + 2):
        kept.add(batch(0, epoch=epoch))
    kept.add(batch(0, epoch=1))
    assert find(kept, (0, FRAMES), epoch=1)[0] == [batch(0, epoch=1)]
