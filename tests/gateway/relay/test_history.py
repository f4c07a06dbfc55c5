"""The history in memory: every question answered exactly, every frame at most once, and within its bounds."""

from __future__ import annotations

import gc
import random
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec import CODECS
from gateway.model import Batch, Gap
from gateway.relay.history import Excerpt, HistoryLimits, HistoryRecord, Page, StreamHistory
from gateway.relay.history.memory import CHUNK
from tests.gateway.relay.historic import (
    START_NS,
    all_frames,
    around,
    check_all_queries,
    ecg,
    frames_of,
    got,
    last_of,
    lost,
    places,
    record_of,
    streams,
)


def filled(*records: HistoryRecord, limits: HistoryLimits | None = None) -> StreamHistory:
    history = StreamHistory(limits or HistoryLimits(memory_ns=1 << 62))
    for record in records:
        history.add(record)
    return history


def held(page: Page) -> list[Excerpt]:
    return [part for part in page.parts if isinstance(part, Excerpt)]


def gone(page: Page) -> list[tuple[int, int, int]]:
    return [part for part in page.parts if isinstance(part, tuple)]


@settings(max_examples=300, deadline=None)
@given(streams(), st.data())
def test_every_query_finds_what_a_search_of_everything_finds(
    records: list[HistoryRecord], data: st.DataObject
) -> None:
    check_all_queries(filled(*records), records, data)


def test_the_same_over_many_chunks() -> None:
    choose = random.Random(4)
    records = [ecg(index, 5) if choose.random() < 0.9 else lost(index, 5) for index in range(0, 15_000, 5)]
    choose.shuffle(records)
    history = filled(*records)
    assert len(history.memory.chunks) > 3000 // CHUNK
    frames = all_frames(records)
    for _ in range(15):
        count, more, moment = choose.randrange(8000), choose.randrange(8000), choose.choice(frames).utc_ns
        assert got(history.last(count)) == last_of(frames, count)
        assert got(history.around(moment, before=count, after=more)) == around(frames, moment, count, more)


@settings(max_examples=100, deadline=None)
@given(streams(), st.lists(st.tuples(st.integers(0, 90), st.integers(1, 20)), max_size=5))
def test_a_frame_that_comes_again_is_there_once(
    records: list[HistoryRecord], again: list[tuple[int, int]]
) -> None:
    history = filled(*records, *records)
    for index, count in again:
        data = np.zeros((count, 1), np.int16)
        history.add(record_of(Batch(1, index, START_NS, 0, data, Fraction(500))))
    found = got(history.from_index(0, 0))
    assert len(found) == len(set(found))
    expected = {(f.epoch, f.index) for r in records for f in frames_of(r)}
    expected |= {(1, i) for index, count in again for i in range(index, index + count)}
    assert set(found) == expected


def test_the_bytes_come_out_as_they_went_in() -> None:
    records = [ecg(0), lost(50, 10), ecg(60)]
    out = [excerpt.record.payload for excerpt in filled(*records).from_index(1, 0)]
    assert all(a is b.payload for a, b in zip(out, records, strict=True))


def test_a_message_that_overlaps_is_kept_as_its_new_parts_with_their_own_times() -> None:
    history = filled(ecg(0), ecg(100))
    assert history.add(ecg(20, 140)) == [(50, 100), (150, 160)]
    for excerpt in history.from_index(1, 0):
        message = excerpt.record.message()
        assert isinstance(message, Batch)
        assert message.data[:, 0].tolist() == list(range(message.index, message.end))
        assert message.utc_ns == START_NS + message.index * 2_000_000


# Gaps have no time of their own


@pytest.mark.parametrize("order", [("before",), ("after",), ("before", "after")])
def test_a_gap_is_timed_by_its_neighbours(order: tuple[str, ...]) -> None:
    history = filled(*[{"before": ecg(0), "after": ecg(80)}[name] for name in order])
    gap = Gap(1, 50, 30, "overrun")
    history.add(history.record_of(gap, CODECS["cbor"].encode(gap), 0))
    assert got(history.between(START_NS + 100_000_000, START_NS + 160_000_000)) == [(1, i) for i in range(50, 80)]


def test_a_gap_without_neighbours_is_now() -> None:
    history, gap = StreamHistory(), Gap(1, 50, 30, "overrun")
    history.add(history.record_of(gap, CODECS["cbor"].encode(gap), START_NS))
    assert len(got(history.between(START_NS, START_NS + 1))) == 30


def test_a_gap_of_any_size_is_one_record() -> None:
    history, huge = StreamHistory(), Gap(1, 5, (1 << 63) - 6, "crash")
    history.add(ecg(0, 5))
    history.add(history.record_of(huge, CODECS["cbor"].encode(huge), START_NS))
    assert [(e.start, e.end) for e in history.last(3)] == [(2, 5), (5, (1 << 63) - 1)]
    assert [e.end for e in history.since_time(START_NS)] == [5, (1 << 63) - 1]


# Coming back


def test_who_was_away_briefly_is_made_whole() -> None:
    history = filled(ecg(0), lost(50, 10), ecg(60))
    answer = history.resume(1, 30)
    assert answer.recovered
    assert got(answer.records) == [(1, index) for index in range(30, 110)]
    assert history.resume(1, 110).recovered, "nothing was missed"


def test_a_hole_is_never_passed_over_in_silence() -> None:
    history = filled(ecg(0), ecg(60))
    assert history.holes() == {1: [(50, 60)]}
    assert not history.resume(1, 30).recovered
    assert history.resume(1, 60).recovered
    history.add(lost(50, 10))
    assert history.resume(1, 30).recovered
    assert history.holes() == {}


def test_who_knows_more_than_the_history_is_not_told_that_all_is_well() -> None:
    assert not StreamHistory().resume(1, 0).recovered
    history = filled(ecg(0))
    assert not history.resume(1, 51).recovered
    assert not history.resume(2, 0).recovered
    assert not history.resume(0, 0).recovered


def test_what_was_let_go_for_want_of_room_is_not_recovered() -> None:
    history = filled(*[ecg(i * 50) for i in range(100)], limits=HistoryLimits(1 << 62, 20_000))
    oldest = next(history.from_index(1, 0)).record.index
    assert oldest > 0
    assert not history.resume(1, oldest - 1).recovered
    assert history.resume(1, oldest).recovered
    assert history.holes() == {}, "what was let go is no hole"


def test_across_epochs_only_if_it_is_known_where_the_former_ended() -> None:
    history = filled(ecg(0), ecg(0, epoch=5))
    assert not history.resume(1, 20).recovered
    history.end_epoch(1, 50, 5)
    assert history.resume(1, 20).recovered
    history.end_epoch(1, 60, 5)
    assert not history.resume(1, 20).recovered, "ten frames of it never came"
    assert history.holes() == {1: [(50, 60)]}
    history.add(lost(50, 10))
    assert history.resume(1, 20).recovered
    history.add(ecg(0, epoch=9))
    assert not history.resume(1, 20).recovered
    history.end_epoch(5, 50, 7)
    history.end_epoch(7, 0, 9)
    assert history.resume(1, 20).recovered, "an epoch of no frames lies between"


def test_the_next_epoch_must_be_there_from_its_first_frame() -> None:
    history = filled(ecg(0), ecg(10, epoch=5))
    history.end_epoch(1, 50, 5)
    assert not history.resume(1, 20).recovered
    history.add(ecg(0, 10, epoch=5))
    assert history.resume(1, 20).recovered


def test_an_epoch_cannot_be_followed_by_an_earlier_one() -> None:
    with pytest.raises(ValueError, match="epoch 3 cannot follow epoch 3"):
        StreamHistory().end_epoch(3, 50, 3)


@settings(max_examples=200, deadline=None)
@given(streams(), st.integers(0, 4), st.integers(0, 130))
def test_recovered_is_true_only_if_every_index_is_there(
    records: list[HistoryRecord], epoch: int, index: int
) -> None:
    history = filled(*records)
    ends = {e: max(r.end for r in records if r.epoch == e) for e in history.epochs}
    for former, following in zip(history.epochs, history.epochs[1:], strict=False):
        history.end_epoch(former, ends[former], following)
    answer = history.resume(epoch, index)
    needed = {(epoch, i) for i in range(index, ends.get(epoch, 0))}
    needed |= {(e, i) for e, end in ends.items() if e > epoch for i in range(end)}
    known = epoch in ends and index <= ends[epoch]
    assert answer.recovered == (known and needed <= set(got(answer.records)))


# Bounds


def test_memory_is_bounded_in_bytes_as_python_counts_them() -> None:
    bound = 2_000_000
    gc.collect()
    tracemalloc.start()
    history = StreamHistory(HistoryLimits(1 << 62, bound))
    for number in range(6_000):
        history.add(ecg(number * 50, columns=2))
        if number % 500 == 0:
            list(history.from_index(1, 0))
        assert history.memory.bytes <= bound
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken <= bound, "the bound counts what a record takes beside its payload"
    held = sum(len(excerpt.record.payload) for excerpt in history.from_index(1, 0))
    assert held >= bound // 4, "most of the room is used"


def test_memory_is_bounded_in_time() -> None:
    history = filled(*[ecg(i * 50) for i in range(600)], limits=HistoryLimits(10_000_000_000, 1 << 30))
    oldest = next(history.from_index(0, 0)).record
    assert 10_000_000_000 <= START_NS + 60_000_000_000 - oldest.utc_ns <= 10_200_000_000


def test_backlog_that_does_not_fit_lets_the_newest_stay() -> None:
    history = filled(*[ecg(i * 50) for i in range(100, 200)], limits=HistoryLimits(1 << 62, 70_000))
    newest = got(history.last(1))
    for number in reversed(range(100)):
        history.add(ecg(number * 50))
    assert got(history.last(1)) == newest == [(1, 9999)]
    assert history.memory.bytes <= 70_000


@settings(max_examples=200, deadline=None)
@given(streams(), st.data())
def test_pages_are_all_there_is_from_a_place_on_each_within_its_size(
    records: list[HistoryRecord], data: st.DataObject
) -> None:
    history, size = filled(*records), data.draw(st.integers(1, 2000))
    frames = places(all_frames(records))
    epoch, index = data.draw(st.sampled_from([*frames, (0, 0), (9, 0)]))
    found, more, place = list[tuple[int, int]](), True, (epoch, index)
    while more:
        page = history.page(*place, size)
        excerpts, more = held(page), page.more
        assert excerpts or not more
        assert len(excerpts) == 1 or sum(len(excerpt.record.payload) for excerpt in excerpts) <= size
        found += got(excerpts)
        place = (excerpts[-1].record.epoch, excerpts[-1].record.end) if excerpts else place
    assert found == [frame for frame in frames if frame >= (epoch, index)]


def test_a_page_near_the_end_looks_at_no_more_than_the_end() -> None:
    history = filled(*(ecg(index) for index in range(0, 200_000, 50)))
    touched = sum(chunk.summary.end > (1, 199_950) for chunk in history.memory.chunks)
    assert touched == 1
    assert got(held(history.page(1, 199_990, 1000))) == [(1, index) for index in range(199_990, 200_000)]


def test_a_page_says_what_before_it_was_let_go_and_not_what_may_still_come() -> None:
    history = filled(*(ecg(index) for index in range(0, 500, 50)), ecg(600), ecg(0, epoch=2), ecg(70, epoch=2))
    for _ in range(4):
        history.memory.drop_first()
    assert gone(history.page(1, 120, 1)) == [(1, 120, 200)]
    assert gone(history.page(1, 500, 1)) == [], "backlog may fill the hole"
    assert gone(history.page(2, 50, 1)) == []
    history.end_epoch(1, 700, 2)
    for _ in range(7):
        history.memory.drop_first()
    assert gone(history.page(1, 120, 1)) == [(1, 120, 700)]
    assert gone(history.page(1, 690, 1)) == [(1, 690, 700)]
    history.memory.drop_first()
    assert gone(history.page(1, 690, 1)) == [(1, 690, 700), (2, 0, 70)]


def test_what_is_gone_is_said_around_what_came_late() -> None:
    history = filled(*(ecg(index) for index in range(0, 500, 50) if index != 100))
    for _ in range(5):
        history.memory.drop_first()
    history.add(ecg(100))
    assert gone(history.page(1, 20, 1 << 20)) == [(1, 20, 100), (1, 150, 300)]
