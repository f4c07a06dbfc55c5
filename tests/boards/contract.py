"""The contract suite: what every board and every source must do, whatever the hardware.

Subclass `SourceContract` for a board, and `UnplugContract` too if the test can take its hardware away:

    class TestMine(SourceContract, UnplugContract):
        def make_board(self) -> Board:
            return MyBoard()

        def make_request(self) -> SourceRequest:
            return SourceRequest((Channel("a", "A0"),), Fraction(200), 20)

        def unplug(self) -> None: ...
        def replug(self) -> None: ...

What a test needs around it (a stand-in tree, a pseudo-terminal, somebody who feeds it) goes into an autouse
fixture of the subclass.
"""

from __future__ import annotations

import abc
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, get_args

import numpy as np
import pytest

from boards.base import Block, Board, Channel, LossReason, SampleSource, SourceRequest
from boards.errors import BadOption, LimitExceeded, SourceLost, UnknownInput

HANG_S = 20.0
"""What takes longer than this hangs: generous, as the machine may be busy."""


@dataclass
class Ledger:
    """Adds up the blocks of one numbering and checks each against the rest."""

    source: SampleSource
    stamp_tolerance: Fraction = Fraction(1, 2)
    """Frames."""
    acquired: int = 0
    lost: int = 0
    newest_ns: int = 0
    origin: tuple[int, int] | None = None
    """Index and stamp of the first frame that came."""

    def take(self, block: Block) -> Block:
        """Check a block, and count it."""
        self._check_form(block)
        self.lost += block.lost
        if len(block.frames):
            self._check_time(block)
        self.acquired += len(block.frames)
        return block

    def read(self, until: Callable[[], bool]) -> None:
        """Read until something is so."""
        give_up = time.monotonic() + HANG_S
        while not until():
            assert time.monotonic() < give_up, f"only {self.acquired} frames and {self.lost} lost in {HANG_S} s"
            self.take(self.source.read())

    def read_frames(self, count: int) -> None:
        """Read until so many more frames came."""
        enough = self.acquired + count
        self.read(lambda: self.acquired >= enough)

    @property
    def index(self) -> int:
        """The number of the next frame."""
        return self.acquired + self.lost

    def _check_form(self, block: Block) -> None:
        assert block.frames.ndim == 2
        assert block.frames.shape[1] == len(self.source.request.channels)
        assert block.frames.dtype == np.dtype(self.source.dtype)
        assert block.lost >= 0
        assert block.reason in get_args(LossReason)
        if self.source.request.rate is not None:
            assert block.offsets_ns is None
        elif len(block.frames):
            assert block.offsets_ns is not None
            assert block.offsets_ns.shape == (len(block.frames),)
            assert block.offsets_ns[0] == 0
            assert np.all(np.diff(block.offsets_ns) >= 0)

    def _check_time(self, block: Block) -> None:
        rate = self.source.request.rate
        assert block.monotonic_ns >= self.newest_ns, "a block begins before the one before it ended"
        if block.offsets_ns is not None:
            self.newest_ns = block.monotonic_ns + int(block.offsets_ns[-1])
        elif rate is not None:
            slack = 1_000_000_000 * self.stamp_tolerance / rate
            self.newest_ns = block.monotonic_ns + int((len(block.frames) - 1) * 1_000_000_000 / rate - slack)
            self._check_place(block, rate)

    def _check_place(self, block: Block, rate: Fraction) -> None:
        """Acquired and lost frames together are those due: a stamp says how many there should be."""
        if self.origin is None:
            self.origin = self.index, block.monotonic_ns
        due = self.origin[0] + (block.monotonic_ns - self.origin[1]) * rate / 1_000_000_000
        assert abs(due - self.index) <= self.stamp_tolerance, (
            f"{float(due):.3f} frames were due, but {self.acquired} came and {self.lost} were declared lost"
        )


class ContractBase(abc.ABC):
    """What a subclass says of its board."""

    stamp_tolerance: ClassVar[Fraction] = Fraction(1, 2)
    """Frames by which a block's stamp may be off."""
    enough: ClassVar[int] = 100
    """Frames that are worth a look, and come within a few seconds."""

    @abc.abstractmethod
    def make_board(self) -> Board:
        """The board, whose hardware is there."""

    @abc.abstractmethod
    def make_request(self) -> SourceRequest:
        """What the board can do, with one channel or more."""

    def ledger(self, source: SampleSource) -> Ledger:
        """Accounts for a source."""
        return Ledger(source, self.stamp_tolerance)


class SourceContract(ContractBase):
    """For every board."""

    def test_it_is_available_here(self) -> None:
        assert self.make_board().availability() is None

    def test_it_has_a_name_and_a_summary_in_one_line(self) -> None:
        board = self.make_board()
        assert board.name
        assert board.summary
        assert "\n" not in board.summary

    def test_its_description_is_json(self) -> None:
        board = self.make_board()
        assert json.loads(json.dumps(board.describe()))["name"] == board.name

    def test_each_input_is_found_by_its_name_and_by_its_aliases(self) -> None:
        board = self.make_board()
        names = [name for known in board.inputs() for name in (known.name, *known.aliases)]
        assert len(names) == len(set(names))
        for known in board.inputs():
            for name in (known.name, *known.aliases):
                assert board.find_input(name) == known

    def test_an_unknown_input_is_refused(self) -> None:
        wanted = self.make_request()
        wrong = replace(wanted, channels=(*wanted.channels, Channel("wrong", "no such input")))
        with pytest.raises((UnknownInput, BadOption), match="no such input"):
            self.make_board().check(wrong)

    def test_a_rate_beyond_the_limit_is_refused_by_its_number(self) -> None:
        board, wanted = self.make_board(), self.make_request()
        limit = board.maximum_rate(len(wanted.channels))
        if wanted.rate is None or limit is None:
            return
        board.check(replace(wanted, rate=limit))
        with pytest.raises(LimitExceeded, match=f"{float(limit):g}"):
            board.check(replace(wanted, rate=limit * 2))

    def test_it_accepts_the_request_it_can_do(self) -> None:
        board = self.make_board()
        board.check(self.make_request())
        board.close()

    def test_frames_acquired_and_declared_lost_are_the_frames_due(self) -> None:
        with self.make_board().open_source(self.make_request()) as source:
            ledger = self.ledger(source)
            ledger.read_frames(self.enough)
        assert ledger.acquired >= self.enough

    def test_a_reader_that_pauses_misses_nothing_silently(self) -> None:
        with self.make_board().open_source(self.make_request()) as source:
            ledger = self.ledger(source)
            ledger.read_frames(1)
            time.sleep(0.3)
            ledger.read_frames(self.enough)

    def test_it_can_be_closed_twice_and_without_being_opened(self) -> None:
        source = self.make_board().open_source(self.make_request())
        source.close()
        source.open()
        source.close()
        source.close()

    def test_it_can_be_opened_again_and_counts_from_0(self) -> None:
        source = self.make_board().open_source(self.make_request())
        for _ in range(2):
            with source:
                self.ledger(source).read_frames(1)

    def test_a_second_source_can_follow_the_first(self) -> None:
        board = self.make_board()
        for _ in range(2):
            with board.open_source(self.make_request()) as source:
                self.ledger(source).read_frames(1)
        board.close()


class QuietContract(ContractBase):
    """For boards of which a test can have a source where nothing comes for longer than the patience."""

    @abc.abstractmethod
    def make_quiet_request(self) -> SourceRequest:
        """Such as two seconds a frame."""

    def test_a_read_returns_without_frames_if_none_come(self) -> None:
        with self.make_board().open_source(self.make_quiet_request()) as source:
            blocks = [self.ledger(source).take(source.read()) for _ in range(3)]
        empty = [block for block in blocks if not len(block.frames)]
        assert empty
        assert all(block.lost == 0 for block in empty)


class UnplugContract(ContractBase):
    """For boards whose hardware a test can take away."""

    @abc.abstractmethod
    def unplug(self) -> None:
        """Take the hardware of the newest board away."""

    @abc.abstractmethod
    def replug(self) -> None:
        """Bring it back."""

    def test_a_source_that_cannot_be_opened_says_so_and_can_be_closed(self) -> None:
        source = self.make_board().open_source(self.make_request())
        self.unplug()
        with pytest.raises(SourceLost):
            source.open()
        source.close()
        self.replug()
        with source:
            self.ledger(source).read_frames(1)

    @pytest.mark.parametrize("close_between", [False, True])
    def test_a_lost_source_says_so_and_goes_on_after_it_is_back(self, close_between: bool) -> None:
        source = self.make_board().open_source(self.make_request())
        source.open()
        ledger = self.ledger(source)
        ledger.read_frames(self.enough // 2)
        self.unplug()
        with pytest.raises(SourceLost):
            ledger.read(lambda: False)
        if close_between:
            source.close()
        with pytest.raises(SourceLost):
            source.open()
        self.replug()
        source.open()
        ledger.read_frames(self.enough // 2)
        source.close()
