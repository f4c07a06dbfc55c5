"""Accounting, against a set of whole numbers that does the same slowly."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.account import Account, IntervalSet, Range, StreamAccount, length, part_of
from gateway.model import Batch, Gap

LIMIT = 60

ranges = st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT)).map(lambda pair: (min(pair), max(pair)))


def members(parts: list[Range] | IntervalSet) -> set[int]:
    return {number for start, end in parts for number in range(start, end)}


def check_shape(intervals: IntervalSet) -> None:
    """Disjoint, not even touching, ascending, none empty."""
    parts = list(intervals)
    assert all(start < end for start, end in parts)
    assert all(before[1] < after[0] for before, after in pairwise(parts))


def batch(index: int, frames: int, epoch: int = 1) -> Batch:
    return Batch(epoch, index, 0, 0, np.zeros((frames, 2), np.int16), Fraction(100))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.booleans(), ranges), max_size=30), ranges)
def test_interval_set_does_what_a_set_does(steps: list[tuple[bool, Range]], window: Range) -> None:
    intervals, model = IntervalSet(), set[int]()
    for adds, part in steps:
        wanted = set(range(*part))
        if adds:
            assert members(intervals.add(*part)) == wanted - model
            model |= wanted
        else:
            assert members(intervals.discard(*part)) == wanted & model
            model -= wanted
        check_shape(intervals)
        assert members(intervals) == model
    assert members(intervals.holes(*window)) == set(range(*window)) - model
    assert members(intervals.overlap(*window)) == set(range(*window)) & model
    assert intervals.covers(*window) == (set(range(*window)) <= model)
    assert intervals.count == len(model)
    assert intervals.end == (max(model) + 1 if model else 0)
    assert {number for number in range(LIMIT) if number in intervals} == model
    assert IntervalSet(map(tuple, json.loads(json.dumps(intervals.as_list())))) == intervals


def test_a_million_appends_stay_one_range() -> None:
    intervals = IntervalSet()
    for index in range(0, 50_000_000, 50):
        intervals.add(index, index + 50)
    assert list(intervals) == [(0, 50_000_000)]


messages = st.tuples(st.sampled_from(["batch", "overrun", "outbox_full"]), ranges).filter(
    lambda m: m[1][0] < m[1][1]
)


@settings(max_examples=300)
@given(st.lists(messages, max_size=25))
def test_a_stream_account_counts_each_frame_once(steps: list[tuple[str, Range]]) -> None:
    account = StreamAccount()
    delivered, lost = set[int](), dict[int, str]()
    came = contradicted = 0
    for kind, (start, end) in steps:
        known = delivered | set(lost)
        new = set(range(start, end)) - known
        came += end - start
        if kind == "batch":
            contradicted += len(set(range(start, end)) & set(lost))
            delivered |= new
            assert members(account.add(batch(start, end - start))) == new
        else:
            lost |= dict.fromkeys(new, kind)
            gap = Gap(1, start, end - start, "overrun" if kind == "overrun" else "outbox_full")
            assert members(account.add(gap)) == new
    assert account.delivered == len(delivered)
    assert {number: why for why, parts in account.lost.items() for number in members(parts)} == lost
    assert account.declared == len(lost)
    assert account.duplicates == came - len(delivered) - len(lost)
    assert account.contradicted == contradicted
    end = max(delivered | set(lost), default=-1) + 1
    assert members(account.holes()) == set(range(end)) - delivered - set(lost)
    assert account.undeclared(LIMIT) == LIMIT - len(delivered) - len(lost)
    assert account.as_dict()["undeclared"] == account.undeclared()


def test_late_backlog_is_out_of_order_and_no_duplicate() -> None:
    account = StreamAccount()
    account.deliver(0, 10)
    account.deliver(20, 30)
    assert account.undeclared() == 10
    account.deliver(10, 20)
    assert (account.undeclared(), account.duplicates, account.out_of_order) == (0, 0, 1)


def test_who_joins_late_does_not_miss_what_was_before() -> None:
    account = StreamAccount(since=100)
    account.deliver(100, 110)
    assert account.undeclared() == 0
    account.deliver(120, 130)
    assert account.holes() == [(110, 120)]


def test_the_end_of_an_epoch_declares_what_is_neither_here_nor_in_the_backlog() -> None:
    account = StreamAccount()
    account.deliver(0, 40)
    account.deliver(60, 70)
    assert account.end_epoch(reached=100, backlog=[(50, 55), (70, 90)]) == [(40, 50), (55, 60), (90, 100)]
    assert account.undeclared(100) == 5 + 20
    account.deliver(50, 55)
    account.deliver(70, 90)
    assert account.undeclared(100) == 0
    assert account.lost["crash"].count == 25


def test_an_epoch_that_a_consumer_saw_further_ends_there() -> None:
    account = StreamAccount()
    account.deliver(0, 10)
    account.deliver(15, 20)
    assert account.end_epoch(reached=12) == [(10, 15)]
    assert account.end == 20


def test_memory_is_bounded_and_what_is_given_up_stays_undeclared() -> None:
    account = StreamAccount(maximum_holes=10)
    for index in range(0, 2000, 2):
        account.deliver(index, index + 1)
    assert len(account.covered) <= 11
    assert account.undeclared() == 999
    assert account.delivered == 1000
    assert account.deliver(1, 2) == []
    assert account.undeclared() == 999


def test_accounts_are_kept_by_stream_and_epoch() -> None:
    account = Account()
    assert account.add("ecg", batch(0, 10, epoch=1)) == [(0, 10)]
    assert account.add("ecg", batch(0, 10, epoch=2)) == [(0, 10)]
    assert account.add("spo2", Gap(1, 5, 5, "late")) == [(5, 10)]
    assert account.undeclared == 5
    report = json.loads(json.dumps(account.as_dict()))
    assert report["ecg"]["1"]["delivered"] == report["ecg"]["2"]["delivered"] == 10
    assert report["spo2"]["1"]["lost"] == {"late": 5}
    assert report["spo2"]["1"]["holes"] == [[0, 5]]


def test_a_part_of_a_batch_keeps_its_frames_and_their_times() -> None:
    whole = Batch(7, 100, 5_000, 9_000, np.arange(20, dtype=np.int16).reshape(10, 2), Fraction(3))
    part = part_of(whole, 104, 107)
    assert (part.epoch, part.index, part.frames) == (7, 104, 3)
    assert part.data.tolist() == whole.data[4:7].tolist()
    assert np.abs(part.times_ns() - whole.times_ns()[4:7]).max() <= 1
    assert part.monotonic_ns - whole.monotonic_ns == part.utc_ns - whole.utc_ns


def test_a_part_of_an_irregular_batch_keeps_each_frame_s_time() -> None:
    offsets = np.array([0, 7, 30, 31], dtype=np.int64)
    whole = Batch(7, 0, 5_000, 9_000, np.zeros((4, 1)), offsets_ns=offsets)
    assert part_of(whole, 1, 4).times_ns().tolist() == whole.times_ns()[1:].tolist()


@pytest.mark.parametrize("part", [(99, 105), (105, 111), (105, 105)])
def test_a_part_that_is_not_there_is_refused(part: Range) -> None:
    with pytest.raises(ValueError, match=r"not within the batch's \[100, 110\)"):
        part_of(batch(100, 10), *part)


def test_length_is_the_number_of_members() -> None:
    assert length([(0, 3), (10, 11)]) == 4
