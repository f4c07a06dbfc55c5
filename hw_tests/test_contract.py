"""The suite that every board passes in tests/, on the real one."""

from __future__ import annotations

from fractions import Fraction

from boards.base import Board, Channel, SourceRequest
from boards.beaglebone import BeagleBoneBoard
from boards.iio import IioBoard
from tests.boards.contract import QuietContract, SourceContract

PAIR = (Channel("rc", "P9_39"), Channel("ground", "P9_40"))


class TestPolled(SourceContract, QuietContract):
    """Through Adafruit_BBIO, at the most that it is trusted with."""

    enough = 250

    def make_board(self) -> Board:
        return BeagleBoneBoard()

    def make_request(self) -> SourceRequest:
        return SourceRequest(PAIR, Fraction(250), 25)

    def make_quiet_request(self) -> SourceRequest:
        return SourceRequest(PAIR, Fraction(1, 2))


class TestCaptured(SourceContract):
    """Through the kernel's buffer, reduced to 1 kHz."""

    stamp_tolerance = Fraction(5)
    enough = 2000

    def make_board(self) -> Board:
        return BeagleBoneBoard()

    def make_request(self) -> SourceRequest:
        return SourceRequest(PAIR, Fraction(1000), 100)


class TestIio(SourceContract):
    """The same converter as any IIO device, at its own rate."""

    stamp_tolerance = Fraction(50)
    enough = 2000

    def make_board(self) -> Board:
        return IioBoard({"device": "TI-am335x-adc.0.auto"})

    def make_request(self) -> SourceRequest:
        channels = (Channel("rc", "voltage0"), Channel("ground", "voltage1"))
        return SourceRequest(channels, self.make_board().maximum_rate(2), 400)
