"""The contract of boards, kept by a serial instrument behind a real pseudo-terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from boards import Board, Channel, SourceRequest
from boards.serial import SerialBoard
from boards.serial.instruments import INSTRUMENTS, make_instrument
from boards.serial.simulated import SimulatedInstrument
from tests.boards.contract import QuietContract, SourceContract, UnplugContract


class OnATerminal:
    """An instrument that talks faster than it would, so that the tests are short."""

    kind: str
    speed = 4.0

    @pytest.fixture(autouse=True)
    def _instrument(self, tmp_path: Path) -> Iterator[None]:
        self.port = SimulatedInstrument(make_instrument(self.kind), tmp_path / self.kind, speed=self.speed)
        with self.port:
            yield

    def make_board(self) -> Board:
        return SerialBoard({"port": str(self.port.link), **self.port.instrument.options, "sequence": "number"})

    def make_request(self) -> SourceRequest:
        return SourceRequest(tuple(Channel(name, name) for name in self.port.instrument.channels))

    def unplug(self) -> None:
        self.port.unplug()

    def replug(self) -> None:
        self.port.replug()


class TestLines(OnATerminal, SourceContract, UnplugContract):
    kind = "oximeter"


class TestStructs(OnATerminal, SourceContract, UnplugContract):
    kind = "imu"


class TestCobs(OnATerminal, SourceContract, UnplugContract):
    kind = "imu_cobs"


class TestSentences(OnATerminal, SourceContract, UnplugContract):
    kind = "gps"
    speed = 40.0

    def make_board(self) -> Board:
        return SerialBoard({"port": str(self.port.link), **self.port.instrument.options})


class TestQuiet(OnATerminal, QuietContract):
    kind = "oximeter"

    def make_quiet_request(self) -> SourceRequest:
        return SourceRequest(self.make_request().channels, options={"skip": 1_000_000})


def test_every_kind_of_instrument_keeps_the_contract() -> None:
    assert {suite.kind for suite in OnATerminal.__subclasses__()} == set(INSTRUMENTS)
