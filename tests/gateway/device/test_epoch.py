"""Epochs grow, whatever happens to the file they are counted in."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.device.epoch import COUNTER_FILE, MAXIMUM_COUNTER, RANDOM_BITS, begin_epoch, next_epoch

NOT_SET = 3600.0
"""A wall clock an hour after 1970."""


def test_each_start_is_above_the_one_before(tmp_path: Path) -> None:
    epochs = [begin_epoch(tmp_path) for _ in range(5)]
    assert all(later >> RANDOM_BITS == (earlier >> RANDOM_BITS) + 1 for earlier, later in pairwise(epochs))


def test_the_directory_is_made(tmp_path: Path) -> None:
    begin_epoch(tmp_path / "state" / "headwater")
    assert (tmp_path / "state" / "headwater" / COUNTER_FILE).exists()


@pytest.mark.parametrize("content", [b"", b"\0\0\0\0", b"-5", b"12x", b"9" * 400, b"\xff\xfe"])
def test_a_damaged_file_is_no_obstacle_and_the_outbox_keeps_the_order(tmp_path: Path, content: bytes) -> None:
    before = begin_epoch(tmp_path)
    (tmp_path / COUNTER_FILE).write_bytes(content)
    after = begin_epoch(tmp_path, newest=before)
    assert after >> RANDOM_BITS == (before >> RANDOM_BITS) + 1
    assert begin_epoch(tmp_path) > after


def test_a_lost_file_is_made_up_for_by_the_clock(tmp_path: Path) -> None:
    before = begin_epoch(tmp_path)
    (tmp_path / COUNTER_FILE).unlink()
    assert begin_epoch(tmp_path) >> RANDOM_BITS >= before >> RANDOM_BITS


def test_a_directory_that_cannot_be_used_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    assert begin_epoch(tmp_path / "file") > 0


def test_a_clock_that_was_never_set_does_not_matter() -> None:
    assert next_epoch(41, 0, NOT_SET, 5) == 42 << RANDOM_BITS | 5
    assert next_epoch(0, 0, NOT_SET, 5) == 1 << RANDOM_BITS | 5


@given(
    st.integers(0, MAXIMUM_COUNTER - 1),
    st.integers(0, (MAXIMUM_COUNTER << RANDOM_BITS) - 1),
    st.floats(0, 4e9),
    st.integers(0, 2**32 - 1),
)
def test_an_epoch_is_above_all_known_and_exact_in_json(
    counter: int, newest: int, now_s: float, random: int
) -> None:
    epoch = next_epoch(counter, newest, now_s, random)
    assert epoch >> RANDOM_BITS > counter
    assert epoch > newest
    assert int(json.loads(json.dumps(float(epoch)))) == epoch < 2**53
