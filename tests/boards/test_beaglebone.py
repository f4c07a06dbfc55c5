"""The BeagleBone board: what needs no sysfs here, and beaglebone_suite.py in the stand-in namespace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from boards import BadOption, BoardUnavailable, Channel, LimitExceeded, SourceRequest, UnknownInput
from boards.beaglebone import BeagleBoneBoard
from boards.beaglebone.advice import OVERLAY_LINE, adc_advice
from boards.beaglebone.pins import BEAGLEBONE_DIGITAL, POCKETBEAGLE_DIGITAL
from boards.registry import load_board
from tests.standin.beaglebone_sysfs import in_namespace, why_no_namespace
from tests.standin.iio_tree import IioTree, am335x_tree

SUITE = Path(__file__).with_name("beaglebone_suite.py")


def request_of(*inputs: str, rate: int = 100, **options: Any) -> SourceRequest:
    return SourceRequest(tuple(Channel(name, name) for name in inputs), Fraction(rate), 1, options)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IioTree:
    tree = am335x_tree(tmp_path)
    monkeypatch.setattr(BeagleBoneBoard, "sysfs", tree.sys)
    monkeypatch.setattr(BeagleBoneBoard, "dev", tree.dev)
    monkeypatch.setattr(BeagleBoneBoard, "model_path", tmp_path / "model")
    return tree


def test_the_suite_passes_with_the_real_library_on_a_stand_in_sysfs() -> None:
    missing = why_no_namespace()
    if missing and os.environ.get("CI") != "true":
        pytest.skip(missing)
    assert missing is None, f"CI must run this, and {missing}"
    options = ["-q", "-p", "no:cacheprovider", "-o", "python_files=beaglebone_suite.py", "--color=no"]
    command = in_namespace(sys.executable, "-m", "pytest", *options, str(SUITE))
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 50
    assert "skipped" not in ran.stdout


@pytest.mark.usefixtures("tree")
class TestInputs:
    def test_analog_pins_are_found_by_header_name_and_by_number(self) -> None:
        board = BeagleBoneBoard()
        assert board.find_input("AIN0") is board.find_input("P9_39")
        assert board.find_input("AIN3") is board.find_input("P9_38")

    def test_the_limit_of_the_inputs_is_said_where_people_look(self) -> None:
        known = BeagleBoneBoard().find_input("P9_39")
        assert "1.8 V destroys it" in known.description
        assert (known.unit, known.minimum, known.maximum, known.bits) == ("V", 0.0, 1.8, 12)
        assert 4095 * known.scale == pytest.approx(1.8)

    def test_ain7_is_on_no_header_of_a_beaglebone(self) -> None:
        with pytest.raises(UnknownInput, match=r"AIN7 is on no header; analog are P9_39 \(AIN0\), P9_40 \(AIN1\)"):
            BeagleBoneBoard().check(request_of("AIN7"))

    def test_a_pocketbeagle_has_its_own_pins(self, tmp_path: Path) -> None:
        (tmp_path / "model").write_bytes(b"TI AM335x PocketBeagle\0")
        board = BeagleBoneBoard()
        assert board.find_input("AIN7").name == "P2_36"
        with pytest.raises(UnknownInput, match="P1_19"):
            board.find_input("P9_39")

    def test_a_power_pin_is_no_input(self) -> None:
        with pytest.raises(UnknownInput, match=r"has no input 'P9_1'.*digital are most other pins, P8_3"):
            BeagleBoneBoard().find_input("P9_1")

    @pytest.mark.parametrize("pins", [BEAGLEBONE_DIGITAL, POCKETBEAGLE_DIGITAL])
    def test_no_two_pins_are_the_same_gpio(self, pins: dict[str, int]) -> None:
        assert len(set(pins.values())) == len(pins)


@pytest.mark.usefixtures("tree")
class TestRefusals:
    def test_the_rate_of_the_overlay_is_the_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        slow = am335x_tree(tmp_path / "other", averages=16, open_delay=0x98)
        monkeypatch.setattr(BeagleBoneBoard, "sysfs", slow.sys)
        with pytest.raises(LimitExceeded, match=r"2 channel\(s\) at 3989\.36 Hz at most; 4000 Hz"):
            BeagleBoneBoard().check(request_of("P9_39", "P9_40", rate=4000))

    def test_without_a_buffer_the_limit_is_that_of_polling(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(BeagleBoneBoard, "sysfs", am335x_tree(tmp_path / "other", with_buffer=False).sys)
        with pytest.raises(LimitExceeded, match=r"2 channel\(s\) at 250 Hz at most"):
            BeagleBoneBoard().check(request_of("P9_39", "P9_40", rate=251))
        with pytest.raises(LimitExceeded, match="offers no buffer"):
            BeagleBoneBoard().check(request_of("P9_39", rate=100, capture="buffered"))

    def test_polling_can_be_asked_for_and_then_has_its_limit(self) -> None:
        with pytest.raises(LimitExceeded, match="polls 500 values a second; 1000"):
            BeagleBoneBoard().check(request_of("P9_39", rate=1000, capture="polled"))

    def test_options_are_those_of_the_pins_kind(self) -> None:
        board = BeagleBoneBoard()
        wrong = [
            Channel("a", "P9_39", {"pull": "up"}),
            Channel("b", "P9_39", {"kind": "gpio"}),
            Channel("c", "P9_12", {"pull": "left"}),
        ]
        for channel in wrong:
            with pytest.raises(BadOption, match=f"channel '{channel.name}' on board beaglebone"):
                board.check(SourceRequest((channel,), Fraction(10)))

    def test_a_uart_that_does_not_exist_is_refused_naming_those_that_do(self) -> None:
        with pytest.raises(BadOption, match=r"UART1.*UART5"):
            BeagleBoneBoard({"uarts": ["UART9"]})


@pytest.mark.usefixtures("tree")
class TestAvailability:
    def test_another_computer_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "model").write_bytes(b"Raspberry Pi 4 Model B\0")
        assert (
            BeagleBoneBoard.availability()
            == "this is no BeagleBone: the device tree's model is 'Raspberry Pi 4 Model B'"
        )

    def test_it_goes_by_the_device_trees_model(self, tmp_path: Path) -> None:
        model = tmp_path / "model"
        for name in ("TI AM335x BeagleBone Black", "TI AM335x PocketBeagle"):
            model.write_bytes(name.encode() + b"\0")
            assert load_board("auto", model) is BeagleBoneBoard

    def test_without_the_library_it_says_how_to_install_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("Adafruit_BBIO", "Adafruit_BBIO.ADC"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(BoardUnavailable, match=r"pip install 'headwater\[beaglebone\]'"):
            BeagleBoneBoard().open_source(request_of("P9_39")).open()

    def test_choosing_it_does_not_import_the_library(self) -> None:
        script = (
            "import sys\n"
            "from boards.registry import load_board\n"
            "load_board('beaglebone')()\n"
            "print('Adafruit_BBIO' in sys.modules)\n"
        )
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == "False"


class TestAdvice:
    def test_an_untouched_template_is_told_all_it_lacks(self) -> None:
        advice = adc_advice(
            "#enable_uboot_overlays=1\n#uboot_overlay_addr4=<file4>.dtbo\ndisable_uboot_overlay_adc=1\n"
        )
        assert "set the line `enable_uboot_overlays=1`" in advice
        assert "remove the line `disable_uboot_overlay_adc=1`" in advice
        assert f"add the line `{OVERLAY_LINE}`" in advice
        assert advice.endswith("then reboot")

    def test_only_what_is_missing_is_named(self) -> None:
        advice = adc_advice("enable_uboot_overlays=1\n")
        assert "enable_uboot_overlays" not in advice
        assert OVERLAY_LINE in advice

    @pytest.mark.parametrize("line", [OVERLAY_LINE, "uboot_overlay_addr6=BB-ADC-00A0.dtbo"])
    def test_with_every_line_in_place_it_points_to_the_boot_itself(self, line: str) -> None:
        assert "rebooted since" in adc_advice(f"enable_uboot_overlays=1\n{line}\n")

    def test_other_images_are_told_which_node_to_switch_on(self) -> None:
        assert "`tscadc` node" in adc_advice(None)
