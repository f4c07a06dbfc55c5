"""All seven inputs as fast as the overlay allows, for a minute, and with a pause that overruns the buffer."""

from __future__ import annotations

import resource
import time
from fractions import Fraction

import pytest

from boards.base import Channel, SourceRequest
from boards.beaglebone import BeagleBoneBoard
from boards.beaglebone.pins import BEAGLEBONE_ANALOG
from tests.boards.contract import Ledger


def fastest(board: BeagleBoneBoard, **options: object) -> SourceRequest:
    channels = tuple(Channel(pin, pin) for pin in BEAGLEBONE_ANALOG)
    rate = board.maximum_rate(len(channels))
    assert rate is not None
    return SourceRequest(channels, rate, max(1, int(rate / 10)), options)


def test_a_minute_without_loss(board: BeagleBoneBoard, capsys: pytest.CaptureFixture[str]) -> None:
    request = fastest(board)
    assert request.rate is not None
    with board.open_source(request) as source:
        ledger, end = Ledger(source, request.rate / 200), time.monotonic() + 60
        before = resource.getrusage(resource.RUSAGE_THREAD)
        while time.monotonic() < end:
            ledger.take(source.read())
        after = resource.getrusage(resource.RUSAGE_THREAD)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    samples = ledger.acquired * len(request.channels)
    with capsys.disabled():
        print(f"\n{samples / 60:.0f} samples/s, {cpu * 1e9 / samples:.0f} us of CPU per 1000 samples")
    assert ledger.lost == 0
    assert ledger.acquired == pytest.approx(float(request.rate * 60), rel=0.01)


def test_a_pause_is_declared(board: BeagleBoneBoard) -> None:
    request = fastest(board, buffer_s=0.3)
    assert request.rate is not None
    with board.open_source(request) as source:
        # 5 ms: stamps and numbers agree before and after the loss.
        ledger = Ledger(source, request.rate * Fraction(5, 1000) + 1)
        ledger.read_frames(int(request.rate))
        time.sleep(3)
        ledger.read_frames(int(request.rate))
    assert ledger.lost > request.rate
