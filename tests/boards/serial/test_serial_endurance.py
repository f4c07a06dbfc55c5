"""Sixty seconds of an instrument's time, with every fault in turn, while both cores are kept busy by others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from boards import Channel, SourceLost, SourceRequest
from boards.serial import open_serial_source
from boards.serial.instruments import make_instrument
from boards.serial.simulated import Fault, Garbage, Garble, Silence, SimulatedInstrument, Unplug
from tests.boards.contract import Ledger

SPEED = 10
DURATION_S = 60


@pytest.mark.slow
@pytest.mark.usefixtures("_busy")
@pytest.mark.parametrize(("kind", "end"), [("oximeter", b"\r\n"), ("imu", b""), ("imu_cobs", b"\0")])
def test_rows_acquired_and_declared_lost_are_the_rows_due(kind: str, end: bytes, tmp_path: Path) -> None:
    instrument = make_instrument(kind, seed=7)
    due = int(DURATION_S * instrument.rate)
    kinds: list[Fault] = [Garble(), Garbage(b"noise" + end), Garbage(b"\xff" * 5000 + end), Silence(0.1), Unplug()]
    faults = {due * (turn + 1) // 22: kinds[turn % len(kinds)] for turn in range(20)}
    port = SimulatedInstrument(instrument, tmp_path / kind, speed=SPEED, rows=due, faults=faults)
    options = {"port": str(port.link), **instrument.options, "sequence": "number"}
    request = SourceRequest(tuple(Channel(name, "") for name in instrument.channels))
    port.replug()
    with open_serial_source(request, options) as source, port:
        ledger = Ledger(source)
        while True:
            try:
                block = ledger.take(source.read())
            except SourceLost:
                time.sleep(0.05)
                port.replug()
                source.open()
                continue
            first = ledger.index - len(block.frames)
            truth = [pytest.approx(instrument.values(first + at), abs=1e-9) for at in range(len(block.frames))]
            assert block.frames.tolist() == truth
            if port.sent == due and not block.lost and not len(block.frames):
                break  # silence after the last row
    assert ledger.acquired + ledger.lost == due
    assert ledger.lost >= 4 + 4  # garbled, and cut by unplugging
    assert source.counters.unplugged == 4
