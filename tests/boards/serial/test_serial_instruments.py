"""The simulated instruments themselves: what they say, and that they fail as they are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from boards import Channel
from boards.serial.framers import Frame, make_framer
from boards.serial.instruments import INSTRUMENTS, make_instrument
from boards.serial.options import SerialOptions
from boards.serial.parsers import make_parser
from boards.serial.simulated import SimulatedInstrument


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_each_row_is_what_the_instruments_options_decode(kind: str) -> None:
    instrument = make_instrument(kind, seed=3)
    options = SerialOptions.model_validate({"port": "loop://", **instrument.options})
    parser = make_parser(options, [Channel(name, "") for name in instrument.channels])
    for row in (0, 1, 4321, 200_000):
        frames = [event for event in make_framer(options).feed(instrument.encode(row)) if isinstance(event, Frame)]
        parsed = [values for values in (parser.parse(frame.data) for frame in frames) if values is not None]
        assert parsed == [pytest.approx(instrument.values(row), abs=1e-9)]


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_a_seed_gives_the_same_rows_again_and_another_seed_others(kind: str) -> None:
    said = [[make_instrument(kind, seed).encode(row) for row in range(50)] for seed in (5, 5, 6)]
    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_every_instrument_fits_its_line(kind: str) -> None:
    instrument = make_instrument(kind)
    longest = max(len(instrument.encode(row)) for row in (*range(1000), 10_000_000))
    assert longest * 10 * instrument.rate < instrument.options["baud"]


def test_the_link_is_there_while_plugged_in_and_names_a_new_terminal_after(tmp_path: Path) -> None:
    link = tmp_path / "instrument"
    with SimulatedInstrument(make_instrument("oximeter"), link) as port:
        first = os.open(link, os.O_RDONLY | os.O_NOCTTY)  # holds the old terminal, so that its name is not reused
        old = link.resolve()
        port.unplug()
        assert not link.is_symlink()
        port.replug()
        assert link.is_char_device()
        assert link.resolve() != old
        os.close(first)
    assert not link.is_symlink()


def test_rows_due_while_unplugged_are_counted(tmp_path: Path) -> None:
    port = SimulatedInstrument(make_instrument("imu"), tmp_path / "imu", rows=20)
    port.start()
    port.unplug()
    port.join()
    port.stop()
    assert port.sent == 20
    assert port.unsent >= 19
