"""The BeagleBone board with the real Adafruit_BBIO, inside the stand-in namespace.

pytest does not collect this file by itself: test_beaglebone.py runs it in a process of its own, where `/sys` is
the stand-in of tests/standin/beaglebone_sysfs.py.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from boards import BoardUnavailable, Channel, LimitExceeded, SourceLost, SourceRequest
from boards.base import Board
from boards.beaglebone import BeagleBoneBoard
from boards.beaglebone.gpio import StatusLed
from tests.boards.contract import QuietContract, SourceContract, UnplugContract
from tests.standin.beaglebone_sysfs import SYS, adc_tree, in_namespace, write_in_place
from tests.standin.iio_tree import Feeder, frame_numbers, write_raw

AIN_OF = {"P9_39": 0, "P9_40": 1, "P9_37": 2, "P9_38": 3, "P9_33": 4, "P9_36": 5, "P9_35": 6}


@pytest.fixture(autouse=True)
def _nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BeagleBoneBoard, "dev", adc_tree().dev)


def request_of(*inputs: str, rate: int = 100, block: int = 1, **options: object) -> SourceRequest:
    each = tuple(Channel(f"c{place}", name) for place, name in enumerate(inputs))
    return SourceRequest(each, Fraction(rate), block, options)


class TestPolledContract(SourceContract, QuietContract, UnplugContract):
    """Through Adafruit_BBIO."""

    def make_board(self) -> Board:
        return BeagleBoneBoard()

    def make_request(self) -> SourceRequest:
        return request_of("P9_39", "AIN1", block=10)

    def make_quiet_request(self) -> SourceRequest:
        return SourceRequest((Channel("a", "P9_39"),), Fraction(1, 2))

    def unplug(self) -> None:
        adc_tree().device.rename(SYS / "away")

    def replug(self) -> None:
        (SYS / "away").rename(adc_tree().device)


class TestCapturedContract(SourceContract):
    """Through the kernel's buffer, because polling does not hold it."""

    stamp_tolerance = Fraction(40)
    enough = 5000

    @pytest.fixture(autouse=True)
    def _fed(self) -> Iterator[None]:
        with Feeder(adc_tree(), 200_000 / 7, "64"):
            yield

    def make_board(self) -> Board:
        return BeagleBoneBoard()

    def make_request(self) -> SourceRequest:
        return SourceRequest(
            tuple(Channel(pin.lower(), pin) for pin in AIN_OF), Fraction(200_000, 7), 2000, {"buffer_s": 1}
        )


class TestAnalogValues:
    @pytest.mark.parametrize(("pin", "line"), AIN_OF.items())
    def test_each_pin_gives_what_its_own_file_holds(self, pin: str, line: int) -> None:
        values = [(517 * each + 3) % 4096 for each in range(8)]
        write_raw(adc_tree(), values)
        with BeagleBoneBoard().open_source(request_of(pin, f"AIN{line}")) as source:
            assert source.read().frames.tolist() == [[values[line], values[line]]]

    def test_values_change_with_the_files_up_to_the_ends_of_the_scale(self) -> None:
        with BeagleBoneBoard().open_source(request_of("P9_39")) as source:
            for value in (0, 4095, 1):
                write_raw(adc_tree(), [value])
                assert source.read().frames.tolist() == [[value]]

    def test_scale_makes_volts_of_counts_as_the_library_itself_does(self) -> None:
        write_raw(adc_tree(), [3000])
        board = BeagleBoneBoard()
        with board.open_source(request_of("P9_39")) as source:
            raw = int(source.read().frames[0, 0])
        from Adafruit_BBIO import ADC

        assert raw * board.find_input("P9_39").scale == pytest.approx(ADC.read("P9_39") * 1.8, rel=1e-6)

    def test_a_reading_that_fails_costs_its_frame_and_no_other(self) -> None:
        file = adc_tree().device / "in_voltage0_raw"
        with BeagleBoneBoard().open_source(request_of("P9_39")) as source:
            assert len(source.read().frames) == 1
            file.write_text("")
            failed = source.read()
            while failed.reason != "undecodable":  # a busy machine may be late once more
                failed = source.read()
            write_in_place(file, "0042\n")
            assert (len(failed.frames), failed.lost) == (0, 1)
            block = source.read()
            while not len(block.frames):
                block = source.read()
            assert block.frames.tolist() == [[42]]

    def test_frames_are_16_bits_wide(self) -> None:
        with BeagleBoneBoard().open_source(request_of("P9_39")) as source:
            assert source.read().frames.dtype == "int16"


class TestDigitalValues:
    def test_a_pin_gives_its_level_beside_an_analog_one(self) -> None:
        value = SYS / "class/gpio/gpio60/value"
        write_raw(adc_tree(), [77])
        with BeagleBoneBoard().open_source(request_of("P9_12", "AIN0")) as source:
            for level in (1, 0, 1):
                write_in_place(value, f"{level}\n")
                assert source.read().frames.tolist() == [[level, 77]]

    def test_the_pull_is_set_with_the_pins_multiplexer(self) -> None:
        state = SYS / "devices/platform/ocp/ocp:P9_15_pinmux/state"
        channel = Channel("door", "GPIO1_16", {"kind": "gpio", "pull": "up"})
        BeagleBoneBoard().open_source(SourceRequest((channel,), Fraction(10)))
        assert state.read_text() == "gpio_pu"

    def test_a_pin_that_the_kernel_does_not_give_is_refused_with_what_to_look_at(self) -> None:
        with pytest.raises(BoardUnavailable, match=r"P9_23 cannot be used as GPIO.*enable_uboot_cape_universal=1"):
            BeagleBoneBoard().open_source(request_of("P9_23"))


class TestThroughTheBuffer:
    def test_faster_than_polling_holds_is_captured_and_it_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        board = BeagleBoneBoard()
        request = request_of("P9_38", "P9_40", "P9_39", rate=1000, block=100, reduce="pick")
        board.check(request)
        with (
            caplog.at_level(logging.INFO),
            Feeder(adc_tree(), 200_000 / 3, "64"),
            board.open_source(request) as source,
        ):
            blocks = [source.read() for _ in range(5)]
        frames = next(block.frames.astype(int) for block in blocks if len(block.frames))
        numbers = frame_numbers(frames[:, [2, 1]])
        assert ((frames[:, 0] - (numbers * 7 + 303)) % 4096 == 0).all()
        assert (
            "P9_38, P9_40, P9_39 at 1000 Hz is more than polling holds: captured through the IIO buffer"
            in caplog.text
        )
        assert "iio:device0 (TI-am335x-adc.0.auto)" in board.describe()["streams"]["P9_38, P9_40, P9_39"]

    def test_slow_streams_are_polled_and_it_says_so(self) -> None:
        board = BeagleBoneBoard()
        board.open_source(request_of("P9_39"))
        assert board.describe()["streams"] == {"P9_39": "polled by Adafruit_BBIO"}
        assert board.describe()["library"].startswith("Adafruit-BBIO 1.")

    def test_polling_beside_a_capture_is_refused_and_says_why(self) -> None:
        board = BeagleBoneBoard()
        polled = board.open_source(request_of("P9_39"))
        capture = request_of("P9_40", rate=1000, block=100)
        with Feeder(adc_tree(), 200_000, "64"), board.open_source(capture):
            with pytest.raises(
                SourceLost, match=r"captured through its buffer.*put all its channels into one stream"
            ):
                polled.open()
            with pytest.raises(BoardUnavailable, match="captured through its buffer"):
                board.check(request_of("P9_39"))
        with polled:
            assert len(polled.read().frames) == 1

    def test_a_fast_stream_with_a_digital_input_is_refused(self) -> None:
        with pytest.raises(LimitExceeded, match=r"polls digital inputs \(P9_12\), 500 values a second; 2000"):
            BeagleBoneBoard().check(request_of("P9_12", "P9_39", rate=1000))


class TestLedAndUart:
    @pytest.mark.parametrize("led", range(4))
    def test_the_status_led_is_the_one_that_was_chosen(self, led: int) -> None:
        brightness = SYS / f"class/leds/beaglebone:green:usr{led}/brightness"
        board = BeagleBoneBoard({"led": f"USR{led}"})
        status = board.status_led()
        assert status is not None
        seen = []
        for on in (True, False, True):
            status.set(on)
            seen.append(brightness.read_text()[0])
        board.close()
        seen.append(brightness.read_text()[0])
        assert seen == ["1", "0", "1", "0"]

    def test_an_led_may_be_on_a_header_pin(self) -> None:
        value = SYS / "class/gpio/gpio60/value"
        StatusLed("P9_12").set(True)
        assert value.read_text()[0] == "1"

    def test_without_the_option_there_is_none(self) -> None:
        assert BeagleBoneBoard().status_led() is None

    def test_the_pins_of_a_uart_are_switched_to_it(self) -> None:
        BeagleBoneBoard({"uarts": ["UART4"]})
        for pin in ("P9_11", "P9_13"):
            assert (SYS / f"devices/platform/ocp/ocp:{pin}_pinmux/state").read_text() == "uart"

    def test_a_uart_whose_pins_cannot_be_switched_says_which_lines_help(self) -> None:
        with pytest.raises(BoardUnavailable, match=r"UART1 cannot be switched.*BB-UART1-00A0\.dtbo"):
            BeagleBoneBoard({"uarts": ["UART1"]})


class TestWhatIsMissing:
    def test_an_adc_that_is_not_there_names_the_line_in_uenv(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        uenv = tmp_path / "uEnv.txt"
        uenv.write_text("#enable_uboot_overlays=1\n")
        monkeypatch.setattr(BeagleBoneBoard, "uenv_path", uenv)
        board = BeagleBoneBoard()
        away = adc_tree().device.rename(SYS / "away")
        try:
            line = (
                r"set the line `enable_uboot_overlays=1`, add the line `uboot_overlay_addr4=/lib/firmware/BB-ADC"
            )
            assert "its overlay is not loaded" in (board.availability() or "")
            with pytest.raises(BoardUnavailable, match=line):
                board.check(request_of("P9_39"))
        finally:
            away.rename(adc_tree().device)
        board.check(request_of("P9_39"))

    def test_an_adc_that_is_not_the_first_device_is_left_to_the_iio_board(self) -> None:
        tree = adc_tree()
        moved = tree.device.rename(tree.device.with_name("iio:device1"))
        try:
            with pytest.raises(
                BoardUnavailable, match=r"ADC is iio:device1.*use board = 'iio' with device = 'TI-am335x"
            ):
                BeagleBoneBoard().check(request_of("P9_39"))
        finally:
            moved.rename(tree.device)

    def test_a_set_up_that_failed_is_not_tried_again_in_the_same_process(self) -> None:
        script = (
            "from boards.beaglebone import library\n"
            "from boards.errors import BoardUnavailable\n"
            "for _ in range(2):\n"
            "    try: library.adc()\n"
            "    except BoardUnavailable as error: print(error)\n"
        )
        begin = time.monotonic()
        # A namespace within this one, whose /proc/cmdline knows of no overlays; without a cape manager either.
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'umount /proc/cmdline && exec "$0" -c "$1"',
            sys.executable,
            script,
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert len(said) == 2, (said, time.monotonic() - begin)
        assert said[0] == said[1]
        for words in ("ADC.setup() of Adafruit_BBIO failed", "board = 'iio'", "start Headwater again"):
            assert words in said[0]


def test_this_is_the_stand_in() -> None:
    assert (SYS / "dev-nodes").is_dir()
    assert in_namespace("true")
