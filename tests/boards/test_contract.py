"""The contract suite itself: a source that does not tell the truth is found out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from boards.base import Block, Channel, SampleSource, SourceRequest
from tests.boards.contract import Ledger

RATE = Fraction(100)
PERIOD_NS = 10_000_000


class Told(SampleSource):
    """Says what it was given."""

    def __init__(self, blocks: Sequence[Block], rate: Fraction | None = RATE) -> None:
        super().__init__(SourceRequest((Channel("a", "A0"),), rate))
        self._blocks = iter(blocks)

    def read(self) -> Block:
        return next(self._blocks)


def block(at: int, count: int = 10, lost: int = 0) -> Block:
    """Frames that were taken at the places from `at` on."""
    return Block(np.zeros((count, 1), np.int16), at * PERIOD_NS, lost)


def test_an_honest_source_is_believed() -> None:
    ledger = Ledger(Told([block(0), block(10), block(25, lost=5), block(0, count=0), block(35)]))
    ledger.read_frames(40)
    assert (ledger.acquired, ledger.lost) == (40, 5)


@pytest.mark.parametrize(
    ("lies", "says"),
    [
        ([block(0), block(15)], r"15\.000 frames were due, but 10 came and 0 were declared lost"),
        ([block(0), block(15, lost=4)], r"15\.000 frames were due, but 10 came and 4 were declared lost"),
        ([block(0), block(10, lost=1)], r"10\.000 frames were due, but 10 came and 1 were declared lost"),
        ([block(0), block(5)], "a block begins before the one before it ended"),
    ],
)
def test_a_source_that_hides_or_invents_a_loss_is_found_out(lies: list[Block], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        Ledger(Told(lies)).read_frames(20)


@pytest.mark.parametrize(
    "wrong",
    [
        Block(np.zeros(10, np.int16), 0),
        Block(np.zeros((10, 2), np.int16), 0),
        Block(np.zeros((10, 1), np.int32), 0),
        Block(np.zeros((10, 1), np.int16), 0, -1),
        Block(np.zeros((2, 1), np.int16), 0, offsets_ns=np.array([0, 1])),
    ],
)
def test_a_block_of_the_wrong_form_is_refused(wrong: Block) -> None:
    with pytest.raises(AssertionError):
        Ledger(Told([wrong])).take(wrong)


@pytest.mark.parametrize("offsets", [None, [0], [1, 2], [0, -1]])
def test_irregular_frames_need_times_that_begin_at_0_and_never_run_back(offsets: list[int] | None) -> None:
    times = None if offsets is None else np.array(offsets)
    wrong = Block(np.zeros((2, 1), np.int16), 0, offsets_ns=times)
    with pytest.raises(AssertionError):
        Ledger(Told([], rate=None)).take(wrong)
