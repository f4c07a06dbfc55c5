"""Every loss accounted for while both cores are kept busy by others."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import pytest

from boards import Channel, SourceRequest
from boards.iio import IioBoard
from tests.boards.contract import Ledger
from tests.standin.iio_requests import STAMPED, eight
from tests.standin.iio_tree import Feeder, IioTree, am335x_tree, frame_numbers

DURATION_S = 20


@pytest.mark.slow
@pytest.mark.usefixtures("_busy")
def test_200_000_samples_a_second_with_pauses_that_overrun_the_buffer(tmp_path: Path) -> None:
    """Acquired and lost are the frames made, to a few; `Ledger` compares them with the clock block by block."""
    tree = am335x_tree(tmp_path)
    with Feeder(tree, 25_000, "64") as feeder:
        with IioBoard(tree.options).open_source(eight(25_000, 2500, buffer_s=0.3)) as source:
            ledger, begin, first = Ledger(source, Fraction(100)), time.monotonic(), None
            for _ in range(DURATION_S // 4):
                pause = time.monotonic() + 3
                while time.monotonic() < pause:
                    block = ledger.take(source.read())
                    if len(block.frames):
                        last = int(frame_numbers(block.frames)[-1])
                        first = last - ledger.index if first is None else first
                time.sleep(1)
            ledger.read_frames(20_000)
            last = int(frame_numbers(ledger.take(source.read()).frames[-1:])[0])
        counts = feeder.stop()
    assert time.monotonic() - begin > DURATION_S
    assert first is not None
    assert counts["refused"] > 20_000
    assert ledger.lost == pytest.approx(counts["refused"], abs=100)
    assert last - ledger.index == pytest.approx(first, abs=100)


@pytest.mark.slow
@pytest.mark.usefixtures("_busy")
def test_with_time_stamps_every_loss_is_counted_and_no_number_is_off_by_more_than_one(tmp_path: Path) -> None:
    attributes = {"current_timestamp_clock": "realtime", "sampling_frequency": "2000"}
    tree = IioTree(tmp_path, STAMPED, attributes=attributes)
    request = SourceRequest((Channel("a", "voltage0"), Channel("b", "voltage1")), Fraction(2000), 100)
    with Feeder(tree, 2000, "1", "400") as feeder:
        with IioBoard(tree.options).open_source(request) as source:
            ledger, begin, offsets, turn = Ledger(source, Fraction(2)), time.monotonic(), set(), 0
            while time.monotonic() < begin + DURATION_S:
                block = ledger.take(source.read())
                if len(block.frames):
                    offsets.add(int(frame_numbers(block.frames)[-1]) - ledger.index)
                if time.monotonic() > begin + 2 * (turn + 1):
                    turn += 1
                    feeder.tell("skip", turn) if turn % 3 else feeder.tell("stall", 30 * turn)
            ledger.read_frames(1000)
        counts = feeder.stop()
    assert ledger.lost == counts["skipped"] + counts["refused"] > 0
    # on starved cores a number has been seen one off, in about every second run: a defect, and not understood yet
    assert max(offsets) - min(offsets) <= 1
