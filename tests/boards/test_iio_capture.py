"""Buffered capture from the stand-in: values, losses, and what is set up before."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boards import SourceLost, SourceRequest
from boards.errors import BoardError
from boards.iio import IioBoard
from boards.iio.options import CaptureOptions
from boards.iio.sysfs import find_devices
from boards.iio.tap import Tap
from tests.boards.contract import Ledger
from tests.standin.iio_requests import STAMPED, channels, eight
from tests.standin.iio_tree import Feeder, IioTree, am335x_tree, frame_numbers, write_raw


@pytest.fixture
def tree(tmp_path: Path) -> IioTree:
    return am335x_tree(tmp_path)


def read_some(source: Any, seconds: float, at: float = 0, act: Any = None) -> tuple[Ledger, set[int]]:
    """Read for so long, and act once at a moment: the accounts, and how far the numbers were off the feeder's."""
    ledger, begin, offsets = Ledger(source, Fraction(60)), time.monotonic(), set()
    while time.monotonic() < begin + seconds:
        block = ledger.take(source.read())
        if len(block.frames):
            numbers = frame_numbers(block.frames)
            assert np.all(np.diff(numbers) == 1)
            offsets.add(int(numbers[-1]) - ledger.index)
        if act and time.monotonic() > begin + at:
            act = act()
    return ledger, offsets


class TestValues:
    def test_200_000_samples_a_second_come_without_loss_and_in_their_columns(self, tree: IioTree) -> None:
        board = IioBoard(tree.options)
        request = eight(25_000, 2500)
        with Feeder(tree, 25_000, "64"), board.open_source(request) as source:
            ledger, offsets = read_some(source, 1.5)
            frames = ledger.take(source.read()).frames.astype(int)
        numbers = frame_numbers(frames)
        for line in range(2, 8):
            assert np.array_equal(frames[:, line], numbers * 7 + line * 101 & 0xFFF)
        assert ledger.acquired > 25_000
        assert ledger.lost == 0
        assert len(offsets) == 1

    def test_columns_are_in_the_streams_order(self, tree: IioTree) -> None:
        request = SourceRequest(channels("voltage5", "voltage1", "voltage0"), Fraction(200_000, 3), 1000)
        with Feeder(tree, 200_000 / 3, "64"), IioBoard(tree.options).open_source(request) as source:
            block = source.read()
            while not len(block.frames):
                block = source.read()
        five, one, zero = block.frames.astype(int).T
        assert np.array_equal(five, (zero + (one << 12)) * 7 + 505 & 0xFFF)

    def test_one_shot_reads_give_what_the_files_hold(self, tree: IioTree) -> None:
        request = SourceRequest(channels("voltage6", "in_voltage2"), Fraction(50), 1)
        with IioBoard(tree.options).open_source(request) as source:
            assert source.read().frames.tolist() == [[611, 211]]
            write_raw(tree, [0, 0, 4095, 0, 0, 0, 7, 0])
            assert source.read().frames.tolist() == [[7, 4095]]

    def test_a_one_shot_read_that_fails_costs_its_frame_and_no_other(self, tree: IioTree) -> None:
        file = tree.device / "in_voltage0_raw"
        file.unlink()
        file.mkdir()  # opens, and answers EISDIR to a read
        request = SourceRequest(channels("voltage0"), Fraction(50))
        with IioBoard(tree.options).open_source(request) as source:
            blocks = [source.read() for _ in range(5)]
        failed = [block for block in blocks if block.reason == "undecodable"]
        assert len(failed) >= 2
        assert all(block.lost == 1 for block in failed)
        assert not any(len(block.frames) for block in blocks)

    def test_a_mean_is_made_of_the_frames_between_two_of_the_streams(self, tree: IioTree) -> None:
        with (
            Feeder(tree, 25_000, "64"),
            IioBoard(tree.options).open_source(eight(5000, 500, reduce="mean")) as source,
        ):
            block = source.read()
            while len(block.frames) < 2:
                block = source.read()
        steps = np.diff(block.frames[:, 0])
        odd = np.count_nonzero(steps != 5)  # voltage0 begins again from 0 after 4095, within a mean or between two
        assert odd <= 2 * (len(steps) * 5 // 4096 + 1)


class TestLosses:
    def test_what_the_full_buffer_refused_is_declared(self, tree: IioTree) -> None:
        with Feeder(tree, 25_000, "64") as feeder:
            with IioBoard(tree.options).open_source(eight(25_000, 2500, buffer_s=0.3)) as source:
                ledger, offsets = read_some(source, 1.8, at=0.4, act=lambda: time.sleep(0.8))
            counts = feeder.stop()
        assert counts["refused"] > 5000
        assert ledger.lost == pytest.approx(counts["refused"], abs=25)
        assert max(offsets) - min(offsets) <= 25

    def test_what_the_hardware_lost_is_declared_within_three_seconds(self, tree: IioTree) -> None:
        def lose() -> None:
            feeder.tell("skip", 2000)

        with Feeder(tree, 25_000, "64") as feeder:
            with IioBoard(tree.options).open_source(eight(25_000, 2500)) as source:
                ledger, _ = read_some(source, 1)
                lose()
                while time.monotonic_ns() < ledger.newest_ns + 6_000_000_000 and not ledger.lost:
                    # Until it is noticed the frames are numbered wrongly, so that the contract cannot be asked.
                    ledger.lost += source.read().lost
            counts = feeder.stop()
        assert counts["skipped"] >= 2000
        assert ledger.lost == pytest.approx(counts["skipped"], abs=150)

    def test_with_time_stamps_a_loss_is_exact_in_place_and_number(self, tmp_path: Path) -> None:
        attributes = {"current_timestamp_clock": "realtime", "sampling_frequency": "2000"}
        tree = IioTree(tmp_path, STAMPED, attributes=attributes)
        request = SourceRequest(channels("voltage0", "voltage1", "voltage2"), Fraction(2000), 100)
        with Feeder(tree, 2000, "1", "300") as feeder:
            with IioBoard(tree.options).open_source(request) as source:
                ledger, offsets = read_some(source, 1, at=0.3, act=lambda: feeder.tell("skip", 13))
            counts = feeder.stop()
        assert ledger.lost == counts["skipped"] == 13
        assert len(offsets) == 1

    def test_a_stalled_trigger_is_declared_when_it_goes_on(self, tmp_path: Path) -> None:
        attributes = {"current_timestamp_clock": "realtime", "sampling_frequency": "1000"}
        tree = IioTree(tmp_path, STAMPED, attributes=attributes)
        request = SourceRequest(channels("voltage0", "voltage1"), Fraction(1000), 50)
        with Feeder(tree, 1000) as feeder:
            with IioBoard(tree.options).open_source(request) as source:
                ledger, offsets = read_some(source, 1.5, at=0.3, act=lambda: feeder.tell("stall", 700))
            counts = feeder.stop()
        assert ledger.lost == counts["skipped"] > 600
        assert len(offsets) == 1


class TestTheEnd:
    def test_frames_that_were_held_are_handed_over_before_the_source_is_lost(self, tmp_path: Path) -> None:
        attributes = {"current_timestamp_clock": "realtime", "sampling_frequency": "1000"}
        tree = IioTree(tmp_path, STAMPED, attributes=attributes)
        request = SourceRequest(channels("voltage0", "voltage1"), Fraction(1000), 50)
        with Feeder(tree, 1000) as feeder:
            with IioBoard(tree.options).open_source(request) as source:
                ledger = Ledger(source, Fraction(2))
                ledger.read_frames(100)
                feeder.tell("skip", 5)
                feeder.tell("run", 10)  # too few to confirm the loss
                feeder.tell("unplug")
                newest = [-1]

                def read_on() -> None:
                    while True:
                        newest.extend(frame_numbers(ledger.take(source.read()).frames))

                with pytest.raises(SourceLost, match="has ended"):
                    read_on()
            counts = feeder.stop()
        assert newest[-1] == counts["made"] - 1
        assert ledger.lost == 5

    def test_a_scan_that_comes_in_two_parts_is_put_together(self, tmp_path: Path) -> None:
        tree = IioTree(tmp_path, STAMPED)
        device = find_devices(tree.sys, tree.dev)[0]
        elements = [element for element in device.elements() if element.name in ("voltage0", "voltage2")]
        tap = Tap(device, elements, 8, Fraction(1000), CaptureOptions())
        content = bytes(range(40))
        with tree.node.open("r+b", buffering=0) as driver:
            tap.open(10)
            read = []
            for part in (content[:11], content[11:13], content[13:40]):
                driver.write(part)
                read.append(tap.read()[0].tobytes())
            tap.close()
        assert read == [content[:8], b"", content[8:40]]


class TestSettingUp:
    def captured(self, tree: IioTree, request: SourceRequest, rate: float) -> dict[str, str]:
        with Feeder(tree, rate, "64" if rate > 5000 else "1"), IioBoard(tree.options).open_source(request):
            names = ["buffer/enable", "buffer/length", "buffer/watermark"]
            found = {name: tree.read(name) for name in names}
            found["on"] = " ".join(
                sorted(
                    path.name
                    for path in (tree.device / "scan_elements").glob("*_en")
                    if path.read_text()[0] == "1"
                )
            )
            for name in ("sampling_frequency", "current_timestamp_clock", "trigger/current_trigger"):
                if (tree.device / name).exists():
                    found[name] = tree.read(name)
        assert tree.read("buffer/enable") == "0"
        return found

    def test_only_the_streams_channels_and_the_timestamp_are_on(self, tmp_path: Path) -> None:
        tree = IioTree(tmp_path, STAMPED, attributes={"current_timestamp_clock": "realtime"})
        tree.write("scan_elements/in_voltage0_en", 1)
        found = self.captured(tree, SourceRequest(channels("voltage2"), Fraction(1000), 50), 1000)
        assert found["on"] == "in_timestamp_en in_voltage2_en"
        assert found["current_timestamp_clock"] == "monotonic"
        assert found["buffer/enable"] == "1"

    def test_without_a_clock_to_choose_the_timestamp_is_left_out(self, tmp_path: Path) -> None:
        tree = IioTree(tmp_path, STAMPED)
        request = SourceRequest(channels("voltage0"), Fraction(1000), 50)
        assert self.captured(tree, request, 1000)["on"] == "in_voltage0_en"

    def test_the_buffer_holds_the_seconds_asked_for_and_wakes_once_a_block(self, tree: IioTree) -> None:
        found = self.captured(tree, eight(25_000, 2000, buffer_s=0.5), 25_000)
        assert int(found["buffer/length"]) == 16384
        assert int(found["buffer/watermark"]) == 2000

    def test_the_next_higher_frequency_that_the_device_has_is_set(self, tmp_path: Path) -> None:
        offered = {"sampling_frequency": "100", "sampling_frequency_available": "100 250 1000 4000"}
        tree = IioTree(tmp_path, STAMPED, attributes=offered)
        request = SourceRequest(channels("voltage0"), Fraction(600), 50)
        assert self.captured(tree, request, 1000)["sampling_frequency"] == "1000"

    def test_a_trigger_is_set_with_its_frequency(self, tmp_path: Path) -> None:
        tree = IioTree(tmp_path, STAMPED, attributes={"trigger/current_trigger": ""})
        trigger = tree.device.parent / "trigger0"
        trigger.mkdir()
        (trigger / "name").write_text("t0\n")
        (trigger / "sampling_frequency").write_text("1\n")
        request = SourceRequest(channels("voltage0"), Fraction(500), 50, {"trigger": "t0"})
        assert self.captured(tree, request, 500)["trigger/current_trigger"] == "t0"
        assert (trigger / "sampling_frequency").read_text() == "500\n"

    def test_a_trigger_that_is_not_there_is_refused_naming_those_that_are(self, tmp_path: Path) -> None:
        tree = IioTree(tmp_path, STAMPED, attributes={"trigger/current_trigger": ""})
        request = SourceRequest(channels("voltage0"), Fraction(500), 50, {"trigger": "t7"})
        with pytest.raises(BoardError, match="no trigger 't7'; there are: none"):
            IioBoard(tree.options).open_source(request).open()

    def test_a_buffer_left_on_by_a_process_that_died_is_taken_over(
        self, tree: IioTree, caplog: pytest.LogCaptureFixture
    ) -> None:
        tree.write("buffer/enable", 1)
        self.captured(tree, eight(25_000, 2500), 25_000)
        assert "left capturing" in caplog.text

    def test_a_device_that_delivers_nothing_is_lost_and_says_which_trigger_to_look_at(
        self, tmp_path: Path
    ) -> None:
        tree = IioTree(tmp_path, STAMPED, attributes={"trigger/current_trigger": "t0"})
        source = IioBoard(tree.options).open_source(
            SourceRequest(channels("voltage0"), Fraction(1000), 50, {"capture": "buffered"})
        )
        keeper = tree.node.open("r+b", buffering=0)  # a FIFO that nobody writes to would have ended
        with keeper, pytest.raises(SourceLost, match="captures nothing: does its trigger 't0' fire at 1000 Hz"):
            source.open()
        assert tree.read("buffer/enable") == "0"
