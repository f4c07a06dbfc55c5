"""Blocks to batches and gaps: every index exactly once, however the blocks are cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.base import Block, LossReason
from gateway.device.batcher import Batcher, BatchPlan
from gateway.device.clocks import Moment
from gateway.model import Batch, Gap, Message, frame_offsets_ns

RATE = Fraction(1000, 3)
UTC_NS = 1_700_000_000_000_000_000


class ExactClock:
    """Believes every stamp."""

    def seen(self, index: int, monotonic_ns: int) -> None:
        pass

    def at(self, index: int, monotonic_ns: int) -> Moment:
        return Moment(monotonic_ns, UTC_NS + monotonic_ns, 42)


def make_batcher(batch_frames: int = 4, rate: Fraction = RATE) -> Batcher:
    return Batcher(7, BatchPlan(rate, batch_frames, 0, revision=3), ExactClock())


def block(start: int, count: int, lost: int = 0, reason: LossReason = "overrun") -> Block:
    """Frames whose values are their numbers, at the times that they are due."""
    column = np.arange(start, start + count, dtype=np.int16)
    due = int(frame_offsets_ns(RATE, start + 1)[-1])
    return Block(np.stack([column, -column], axis=1), due, lost, reason)


def summary(messages: list[Message]) -> list[tuple[int, int, str]]:
    """First index, how many, and the reason of a gap."""
    return [(m.index, m.frames, "") if isinstance(m, Batch) else (m.index, m.count, m.reason) for m in messages]


def test_batches_have_the_wanted_size_whatever_the_blocks_have() -> None:
    batcher = make_batcher(4)
    assert summary(batcher.add(block(0, 3))) == []
    assert summary(batcher.add(block(3, 6))) == [(0, 4, ""), (4, 4, "")]
    assert summary(batcher.flush()) == [(8, 1, "")]
    assert batcher.flush() == []


def test_a_batch_says_what_it_was_made_under() -> None:
    (batch,) = make_batcher(2).add(block(0, 2))
    assert isinstance(batch, Batch)
    assert (batch.epoch, batch.index, batch.rate, batch.revision) == (7, 0, RATE, 3)
    assert (batch.monotonic_ns, batch.utc_ns, batch.clock_error_ns) == (0, UTC_NS, 42)
    assert batch.data.tolist() == [[0, 0], [1, -1]]


def test_a_batch_that_begins_within_a_block_has_the_time_of_its_own_first_frame() -> None:
    _, second, third = make_batcher(4).add(block(10, 12))
    assert isinstance(second, Batch)
    assert isinstance(third, Batch)
    assert second.monotonic_ns == block(10, 1).monotonic_ns + 12_000_000
    assert third.monotonic_ns == block(10, 1).monotonic_ns + 24_000_000


def test_a_loss_ends_the_batch_before_it_and_takes_its_own_numbers() -> None:
    batcher = make_batcher(4)
    batcher.add(block(0, 3))
    messages = batcher.add(block(13, 5, lost=10, reason="late"))
    assert summary(messages) == [(0, 3, ""), (3, 10, "late"), (13, 4, "")]
    assert summary(batcher.lose(2, "unplugged")) == [(17, 1, ""), (18, 2, "unplugged")]
    assert batcher.index == 20


def test_a_block_without_frames_declares_its_loss_at_once() -> None:
    batcher = make_batcher(4)
    assert summary(batcher.add(Block(np.empty((0, 2), dtype=np.int16), 0, 5, "unplugged"))) == [
        (0, 5, "unplugged")
    ]
    assert batcher.add(Block(np.empty((0, 2), dtype=np.int16), 0)) == []
    assert batcher.index == 5


def test_the_type_of_the_samples_is_the_source_s() -> None:
    (batch,) = make_batcher(1).add(Block(np.array([[1.5]], dtype=np.float32), 0))
    assert isinstance(batch, Batch)
    assert batch.data.dtype == np.float32


class TestIrregular:
    """Rows that have times of their own: a batch ends by its time, and says when each row was."""

    def make(self, frames: int = 100) -> Batcher:
        return Batcher(7, BatchPlan(None, frames, period_ns=1000), ExactClock())

    def rows(self, at_ns: int, *offsets: int) -> Block:
        values = np.arange(len(offsets), dtype=np.int32).reshape(-1, 1)
        return Block(values, at_ns, offsets_ns=np.array(offsets, dtype=np.int64))

    def nothing(self, at_ns: int) -> Block:
        return Block(np.empty((0, 1), dtype=np.int32), at_ns)

    def test_each_row_has_its_own_time(self) -> None:
        batcher = self.make()
        batcher.add(self.rows(100, 0, 7))
        batcher.add(self.rows(300, 0))
        (batch,) = batcher.flush()
        assert isinstance(batch, Batch)
        assert batch.rate is None
        assert batch.offsets_ns is not None
        assert batch.offsets_ns.tolist() == [0, 7, 200]
        assert (batch.monotonic_ns, batch.utc_ns) == (100, UTC_NS + 100)

    def test_rows_without_offsets_have_the_time_of_their_block(self) -> None:
        batcher = self.make()
        batcher.add(Block(np.zeros((2, 1), dtype=np.int32), 100))
        (batch,) = batcher.flush()
        assert isinstance(batch, Batch)
        assert batch.offsets_ns is not None
        assert batch.offsets_ns.tolist() == [0, 0]

    def test_a_batch_ends_when_its_time_is_over_though_nothing_comes(self) -> None:
        batcher = self.make()
        assert summary(batcher.add(self.rows(100, 0))) == []
        assert summary(batcher.add(self.nothing(1099))) == []
        assert summary(batcher.add(self.nothing(1100))) == [(0, 1, "")]
        assert summary(batcher.add(self.nothing(9999))) == []

    def test_a_batch_never_holds_more_than_its_most_rows(self) -> None:
        assert summary(self.make(frames=2).add(self.rows(100, 0, 1, 2, 3, 4))) == [(0, 2, ""), (2, 2, "")]

    def test_a_loss_takes_its_numbers(self) -> None:
        batcher = self.make()
        batcher.add(self.rows(100, 0))
        assert summary(batcher.lose(3, "undecodable")) == [(0, 1, ""), (1, 3, "undecodable")]


Piece = tuple[int, int, LossReason]

PIECES = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(1, 30) | st.just(0),
        st.sampled_from(["overrun", "late", "unplugged", "undecodable"]),
    ),
    max_size=12,
)
"""Frames, then how many are lost after them, and why."""


def run(pieces: list[Piece], batch_frames: int, cuts: set[int]) -> list[Message]:
    """What a batcher makes of those frames when the blocks end before each cut as well."""
    batcher, messages, lost, number = make_batcher(batch_frames), [], 0, 0
    reason: LossReason = "overrun"
    for frames, losses, why in pieces:
        start = number
        for end in sorted({cut for cut in cuts if number < cut < number + frames} | {number + frames}):
            if end > start:
                messages += batcher.add(block(start, end - start, lost, reason))
                lost, start = 0, end
        number += frames
        if losses:
            if lost:
                messages += batcher.add(Block(np.empty((0, 2), dtype=np.int16), 0, lost, reason))
            lost, reason = losses, why
            number += losses
    if lost:
        messages += batcher.add(Block(np.empty((0, 2), dtype=np.int16), 0, lost, reason))
    return messages + batcher.flush()


@given(PIECES, st.integers(1, 9), st.sets(st.integers(1, 200)), st.sets(st.integers(1, 200)))
def test_however_the_blocks_are_cut_the_messages_are_the_same(
    pieces: list[Piece], batch_frames: int, some: set[int], others: set[int]
) -> None:
    left, right = run(pieces, batch_frames, some), run(pieces, batch_frames, others)
    assert summary(left) == summary(right)
    for one, other in zip(left, right, strict=True):
        if isinstance(one, Batch) and isinstance(other, Batch):
            assert one.data.tolist() == other.data.tolist()
            assert one.monotonic_ns == pytest.approx(other.monotonic_ns, abs=1)


@given(PIECES, st.integers(1, 9), st.sets(st.integers(1, 200)))
def test_every_index_is_covered_once_with_its_own_value_and_time(
    pieces: list[Piece], batch_frames: int, cuts: set[int]
) -> None:
    messages = run(pieces, batch_frames, cuts)
    index = 0
    for number, message in enumerate(messages):
        assert (message.epoch, message.index) == (7, index)
        index = message.end
        if isinstance(message, Gap):
            continue
        assert message.data[:, 0].tolist() == list(range(message.index, message.end))
        assert message.monotonic_ns == pytest.approx(block(message.index, 1).monotonic_ns, abs=1)
        assert message.utc_ns == UTC_NS + message.monotonic_ns
        cut_short = number + 1 == len(messages) or isinstance(messages[number + 1], Gap)
        assert message.frames == batch_frames or (message.frames < batch_frames and cut_short)
    assert index == sum(frames + losses for frames, losses, _ in pieces)
    declared = sum(message.count for message in messages if isinstance(message, Gap))
    assert declared == sum(losses for _, losses, _ in pieces)
