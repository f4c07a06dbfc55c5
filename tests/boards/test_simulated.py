"""The simulated board: a real one's pins, known values, and every frame accounted for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from boards.base import Channel, SourceRequest
from boards.errors import BadOption, LimitExceeded, UnknownInput
from boards.faults import Unplug
from boards.registry import load_board
from boards.simulated import SimulatedBoard
from tests.boards.contract import Ledger, QuietContract, SourceContract, UnplugContract


def request(*inputs: str, rate: int | str = 500, block: int = 50, **options: Any) -> SourceRequest:
    channels = tuple(Channel(f"c{number}", name, options) for number, name in enumerate(inputs))
    return SourceRequest(channels, Fraction(rate), block)


class TestBufferedSourceKeepsTheContract(SourceContract, QuietContract, UnplugContract):
    options: ClassVar[dict[str, Any]] = {}

    def make_board(self) -> SimulatedBoard:
        self.board = SimulatedBoard(self.options)
        return self.board

    def make_request(self) -> SourceRequest:
        return request("P9_39", "AIN5", rate=500, block=10)

    def make_quiet_request(self) -> SourceRequest:
        return request("P9_39", rate="1/2", block=1)

    def unplug(self) -> None:
        self.board.inject(Unplug())

    def replug(self) -> None:
        self.board.replug()


class TestPolledSourceKeepsTheContract(TestBufferedSourceKeepsTheContract):
    options: ClassVar[dict[str, Any]] = {"style": "polled"}


class TestSourceAtFreePaceKeepsTheContract(SourceContract, UnplugContract):
    make_board = TestBufferedSourceKeepsTheContract.make_board
    make_request = TestBufferedSourceKeepsTheContract.make_request
    unplug = TestBufferedSourceKeepsTheContract.unplug
    replug = TestBufferedSourceKeepsTheContract.replug
    options: ClassVar[dict[str, Any]] = {"pace": "free"}


@pytest.fixture
def busy_cores() -> Iterator[None]:
    """A busy loop for each core."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.parametrize("style", ["buffered", "polled"])
def test_on_a_busy_machine_every_frame_is_acquired_or_declared_lost(busy_cores: None, style: str) -> None:
    board = SimulatedBoard({"style": style, "buffer": "20ms"})
    wanted = request("AIN2", "AIN3", "AIN4", "AIN5", rate=1000, block=20)
    expected = board.expected(wanted, 0, 60_000)
    with board.open_source(wanted) as source:
        ledger = Ledger(source)
        while ledger.index < 3000:
            block = ledger.take(source.read())
            first = ledger.index - len(block.frames)
            assert np.array_equal(block.frames, expected[first : ledger.index])


def test_the_registry_knows_it() -> None:
    assert load_board("simulated") is SimulatedBoard


def test_its_pins_are_those_of_a_beaglebone_black() -> None:
    board = SimulatedBoard()
    assert [board.find_input(f"AIN{number}").name for number in range(8)] == [
        "P9_39",
        "P9_40",
        "P9_37",
        "P9_38",
        "P9_33",
        "P9_36",
        "P9_35",
        "AIN7",
    ]
    pin = board.find_input("P9_39")
    assert (pin.unit, pin.bits, pin.maximum) == ("V", 12, 1.8)
    assert pin.scale * 4095 == pytest.approx(1.8)


def test_each_pin_carries_its_own_signal() -> None:
    frames = SimulatedBoard().expected(request(*(f"AIN{number}" for number in range(8))), 0, 2000)
    assert frames.shape == (2000, 8)
    assert frames.dtype == np.int16
    assert frames.min() >= 0
    assert frames.max() <= 4095
    assert len({column.tobytes() for column in frames.T}) == 8


@pytest.mark.parametrize("block", [1, 7, 50, 1000])
def test_frames_are_those_expected_whatever_the_block_size(block: int) -> None:
    board = SimulatedBoard({"seed": 5, "pace": "free"})
    wanted = request("P9_39", "P9_40", "P9_36", block=block)
    with board.open_source(wanted) as source:
        read = np.concatenate([source.read().frames for _ in range(2000 // block + 1)])
    assert np.array_equal(read, board.expected(wanted, 0, len(read)))


def test_another_seed_is_another_patient_and_other_noise() -> None:
    wanted = request("P9_39", "P9_40", "P9_36")
    one, other = (SimulatedBoard({"seed": seed}).expected(wanted, 0, 2000) for seed in (1, 2))
    assert all(np.any(one[:, column] != other[:, column]) for column in range(3))


def test_free_pace_stamps_as_if_it_were_real_time() -> None:
    with SimulatedBoard({"pace": "free"}).open_source(request("P9_37", rate="1000/3", block=100)) as source:
        stamps = [source.read().monotonic_ns for _ in range(31)]
    assert stamps[10] - stamps[0] == 3_000_000_000
    assert stamps[30] - stamps[0] == 9_000_000_000


def test_real_time_frames_come_when_they_are_due_and_not_before() -> None:
    with SimulatedBoard().open_source(request("P9_37", rate=2000, block=20)) as source:
        for _ in range(10):
            block = source.read()
            last_due = block.monotonic_ns + (len(block.frames) - 1) * 500_000
            assert time.monotonic_ns() >= last_due


def test_a_reader_that_falls_behind_is_told_how_many_frames_the_driver_lost() -> None:
    board = SimulatedBoard({"buffer": "50ms"})
    wanted = request("P9_38", rate=10_000, block=100)
    with board.open_source(wanted) as source:
        first = source.read()
        time.sleep(0.2)
        after = source.read()
    assert after.reason == "overrun"
    assert after.lost >= 10_000 * 0.2 - 500 - 100
    index = len(first.frames) + after.lost
    assert after.monotonic_ns - first.monotonic_ns == index * 100_000
    assert np.array_equal(after.frames, board.expected(wanted, index, len(after.frames)))


def test_a_slow_stream_returns_empty_blocks_and_loses_nothing() -> None:
    board = SimulatedBoard()
    wanted = request("P9_38", rate="3/2", block=1)
    with board.open_source(wanted) as source:
        blocks = [source.read() for _ in range(4)]
    assert any(len(block.frames) == 0 for block in blocks)
    read = np.concatenate([block.frames for block in blocks])
    assert len(read) >= 2
    assert sum(block.lost for block in blocks) == 0
    assert np.array_equal(read, board.expected(wanted, 0, len(read)))


def test_a_reopened_source_begins_again_at_frame_0() -> None:
    board = SimulatedBoard({"pace": "free"})
    wanted = request("P9_38")
    source = board.open_source(wanted)
    for _ in range(2):
        source.open()
        assert np.array_equal(source.read().frames, board.expected(wanted, 0, 50))
        source.close()


def test_the_converters_limit_is_refused_by_its_number() -> None:
    board = SimulatedBoard()
    board.check(request(*["AIN2"] * 8, rate=25_000))
    with pytest.raises(LimitExceeded, match=r"8 channel.*25000 Hz at most; 25001 Hz"):
        board.check(request(*["AIN2"] * 8, rate=25_001))


@pytest.mark.parametrize("rate", [None, Fraction(0), Fraction(-5)])
def test_a_rate_that_is_none_is_refused(rate: Fraction | None) -> None:
    with pytest.raises(LimitExceeded, match="above 0 Hz"):
        SimulatedBoard().check(SourceRequest((Channel("a", "AIN0"),), rate))


def test_an_unknown_input_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownInput, match=r"no input 'P9_41'.*P9_39"):
        SimulatedBoard().check(request("P9_41"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"signal": "sinus"}, r"channel 'c0': signal: found 'sinus'; allowed: ecg, .*did you mean 'sine'"),
        ({"heartrate": 70}, r"channel 'c0': heartrate: unknown key; allowed here: .*did you mean 'heart_rate'"),
        ({"heart_rate": 900}, r"channel 'c0': heart_rate: .*less than or equal to 240; found 900"),
        ({"signal": "file"}, r"channel 'c0': path: is missing"),
        ({"heart_rate": 20, "heart_rate_deviation": 9}, r"channel 'c0': .*at most a fifth of heart_rate"),
        ({"signal": "sine", "heart_rate": 60}, r"heart_rate: unknown key; allowed here: signal, frequency"),
    ],
)
def test_a_wrong_channel_option_is_named_with_what_is_allowed(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        SimulatedBoard().check(request("P9_39", **options))


def test_a_wrong_board_option_is_named() -> None:
    with pytest.raises(BadOption, match=r"board 'simulated': sed: unknown key.*did you mean 'seed'"):
        SimulatedBoard({"sed": 1})


def test_a_bad_line_in_a_datalog_is_refused_at_the_check(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("1\r\n2\r\nx3\r\n")
    with pytest.raises(BadOption, match=r"channel 'c0': .*log\.txt, line 3: found 'x3'; allowed: one number"):
        SimulatedBoard().check(request("AIN0", signal="file", path=str(path)))


def test_its_description_is_json() -> None:
    assert json.loads(json.dumps(SimulatedBoard({"seed": 9}).describe()))["seed"] == 9


def test_a_datalog_is_played_round_and_round(tmp_path: Path) -> None:
    path = tmp_path / "ekg.txt"
    path.write_bytes(b"".join(b"%d\r\n" % value for value in range(100, 400)))
    wanted = request("AIN0", rate=200, signal="file", path=str(path))
    frames = SimulatedBoard().expected(wanted, 250, 100)[:, 0]
    assert frames.tolist() == [*range(350, 400), *range(100, 150)]
