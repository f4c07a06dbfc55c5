"""Polled sources: absolute deadlines, and every missed one declared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from boards.base import READ_PATIENCE_S, Board, Channel, Input, PolledSource, SampleSource, SourceRequest
from boards.errors import FrameFailed, LimitExceeded, SourceLost, UnknownInput
from tests.boards.contract import Ledger, QuietContract, SourceContract, UnplugContract

NS = 1_000_000_000


class Counter(PolledSource):
    """Reads the number of the frame; can be slow, and can be gone."""

    def __init__(self, request: SourceRequest, board: CounterBoard | None = None) -> None:
        super().__init__(request)
        self.board = board or CounterBoard()
        self.delays: dict[int, float] = {}
        """Seconds that a value takes, by how many were read before it."""
        self.read_at: list[tuple[int, int]] = []
        """When each value was due and when it was read."""

    def open(self) -> None:
        self._raise_if_gone()
        super().open()

    def read_raw(self, channel: Channel) -> int:
        self._raise_if_gone()
        time.sleep(self.delays.pop(len(self.read_at), 0))
        self.read_at.append((self.next_due_ns, time.monotonic_ns()))
        return self.next_frame

    def _raise_if_gone(self) -> None:
        if self.board.gone:
            raise SourceLost("the counter is gone")


class CounterBoard(Board):
    name = "counter"
    summary = "counts"
    gone = False

    def inputs(self) -> Sequence[Input]:
        return [Input("A0", aliases=("first",)), Input("A1")]

    def maximum_rate(self, channels: int) -> Fraction:
        return Fraction(10_000, channels)

    def open_source(self, request: SourceRequest) -> SampleSource:
        return Counter(request, self)


def request(rate: Fraction | int = 200, block: int = 10) -> SourceRequest:
    return SourceRequest((Channel("a", "A0"), Channel("b", "first")), Fraction(rate), block)


class TestPolledSourceKeepsTheContract(SourceContract, QuietContract, UnplugContract):
    def make_board(self) -> Board:
        self.board = CounterBoard()
        return self.board

    def make_request(self) -> SourceRequest:
        return request()

    def make_quiet_request(self) -> SourceRequest:
        return request(Fraction(1, 2))

    def unplug(self) -> None:
        self.board.gone = True

    def replug(self) -> None:
        self.board.gone = False


def test_a_value_is_never_read_before_it_is_due() -> None:
    with Counter(request(Fraction(1000, 3))) as source:
        Ledger(source).read_frames(100)
    assert len(source.read_at) >= 200
    assert all(read >= due for due, read in source.read_at)


def test_every_frame_stands_at_its_own_number_and_its_own_time() -> None:
    with Counter(request(500, block=7)) as source:
        ledger = Ledger(source)
        start = None
        while ledger.acquired < 200:
            block = ledger.take(source.read())
            first = ledger.index - len(block.frames)
            start = start or block.monotonic_ns - first * NS // 500
            assert block.frames[:, 0].tolist() == list(range(first, ledger.index))
            assert block.monotonic_ns == start + first * NS // 500


def test_a_missed_deadline_is_a_late_frame_and_shifts_nothing() -> None:
    with Counter(request(100, block=5)) as source:
        source.delays = {14: 0.055}
        ledger = Ledger(source)
        ledger.read_frames(8)
        block = ledger.take(source.read())
    assert block.reason == "late"
    assert block.lost >= 4
    assert block.frames[0, 0] == ledger.index - len(block.frames)


def test_a_late_frame_ends_the_block_before_it() -> None:
    with Counter(request(100, block=30)) as source:
        source.delays = {6: 0.035}
        block = source.read()
    assert block.frames[:, 0].tolist() == list(range(block.lost, block.lost + len(block.frames)))
    assert len(block.frames) <= 4


def test_frames_read_before_the_hardware_went_away_are_handed_over_first() -> None:
    board = CounterBoard()

    class Fragile(Counter):
        def read_raw(self, channel: Channel) -> int:
            board.gone = self.next_frame >= 5
            return super().read_raw(channel)

    source = Fragile(request(200, block=50), board)
    source.open()
    ledger = Ledger(source)
    with pytest.raises(SourceLost):
        ledger.read(lambda: False)
    assert ledger.acquired > 0
    assert ledger.index == source.next_frame


def test_deadlines_that_passed_while_the_hardware_was_away_are_declared_unplugged() -> None:
    board = CounterBoard()
    source = Counter(request(200, block=5), board)
    source.open()
    ledger = Ledger(source)
    ledger.read_frames(10)
    board.gone = True
    with pytest.raises(SourceLost):
        ledger.read(lambda: False)
    time.sleep(0.1)
    board.gone = False
    source.open()
    block = ledger.take(source.read())
    assert block.reason == "unplugged"
    assert block.lost >= 19
    assert ledger.take(source.read()).reason == "late"


def test_a_frame_that_failed_is_declared_and_the_others_keep_their_numbers() -> None:
    class Flaky(Counter):
        def read_raw(self, channel: Channel) -> int:
            if self.next_frame % 4 == 0:
                raise FrameFailed("no answer")
            return super().read_raw(channel)

    failed = 0
    with Flaky(request(200, block=10)) as source:
        ledger = Ledger(source)
        while ledger.index < 60:
            block = ledger.take(source.read())
            first = ledger.index - len(block.frames)
            assert block.frames[:, 0].tolist() == list(range(first, ledger.index))
            failed += block.lost * (block.reason == "undecodable")
    assert ledger.acquired > 0
    assert failed > 0
    assert ledger.lost >= failed


def test_a_block_is_returned_early_rather_than_holding_up_a_stop() -> None:
    with Counter(request(100, block=100_000)) as source:
        block = source.read()
    assert 0 < len(block.frames) <= 100 * READ_PATIENCE_S + 1


def test_no_rate_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="needs a rate"):
        Counter(SourceRequest((Channel("a", "A0"),), None))


def test_an_unknown_input_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownInput, match=r"'counter' has no input 'A2'; it has A0, A1"):
        CounterBoard().find_input("A2")


def test_too_high_a_rate_is_refused_by_the_limit() -> None:
    with pytest.raises(LimitExceeded, match=r"2 channel\(s\) at 5000 Hz at most; 5001 Hz"):
        CounterBoard().check(request(5001))


def test_samples_have_the_sources_type() -> None:
    class Wide(Counter):
        dtype = np.int32

    with Wide(request()) as source:
        assert source.read().frames.dtype == np.int32
