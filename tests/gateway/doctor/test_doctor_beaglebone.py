"""A BeagleBone's library, bootloader and ADC, on a stand-in tree."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from boards.beaglebone import BeagleBoneBoard
from gateway.config import DeviceConfig, load_mapping
from gateway.doctor import examine_device, examine_machine
from gateway.doctor.beaglebone import adc_finding, bootloader_finding, check_beaglebone, find_adc, library_finding
from gateway.doctor.machine import MODEL_PATH
from tests.gateway.doctor.standin import StandIn
from tests.standin.iio_tree import am335x_tree

UENV = "/boot/uEnv.txt"
OVERLAYS_ON = "enable_uboot_overlays=1\n#disable_uboot_overlay_adc=1\n"


@pytest.fixture
def black(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A BeagleBone Black with BeagleBoard's image."""
    there = StandIn(tmp_path)
    am335x_tree(tmp_path)
    there.write(UENV, OVERLAYS_ON)
    there.write(MODEL_PATH, b"TI AM335x BeagleBone Black\0")
    monkeypatch.setattr(BeagleBoneBoard, "sysfs", tmp_path / "sys")
    monkeypatch.setattr(BeagleBoneBoard, "dev", tmp_path / "dev")
    monkeypatch.setattr(BeagleBoneBoard, "model_path", there.machine.at(MODEL_PATH))
    monkeypatch.setattr(BeagleBoneBoard, "uenv_path", there.machine.at(UENV))
    return there


def test_a_board_that_has_all_it_needs_is_described_part_by_part(black: StandIn) -> None:
    library, bootloader, adc = check_beaglebone(black.machine)
    assert (library.ok, bootloader.ok, adc.ok) == (True, True, True)
    assert library.found.startswith("Adafruit-BBIO 1.")
    assert "iio:device0 (TI-am335x-adc.0.auto), can be polled and captured" in adc.found


def test_without_the_library_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "Adafruit_BBIO.ADC", None)
    assert "pip install 'headwater[beaglebone]'" in (library_finding().todo or "")


@pytest.mark.parametrize(
    ("uenv", "todo"),
    [
        ("#enable_uboot_overlays=1\n", "set the line `enable_uboot_overlays=1`"),
        (
            "enable_uboot_overlays=1\ndisable_uboot_overlay_adc=1\n",
            "remove the line `disable_uboot_overlay_adc=1`",
        ),
        (None, "there is no /boot/uEnv.txt"),
    ],
)
def test_the_line_that_keeps_the_adc_off_is_named(uenv: str | None, todo: str) -> None:
    assert todo in (bootloader_finding(uenv, adc_there=False).todo or "")


def test_an_adc_that_will_be_gone_after_the_next_boot_is_told_of() -> None:
    finding = bootloader_finding("enable_uboot_overlays=0\n", adc_there=True)
    assert "at the next boot" in finding.found
    assert not finding.ok


def test_an_adc_that_is_on_without_beagleboards_boot_files_is_well() -> None:
    assert bootloader_finding(None, adc_there=True).ok


def test_an_adc_that_is_not_there_says_what_to_look_at(black: StandIn) -> None:
    black.machine.at("/sys/bus/iio/devices/iio:device0/name").write_text("ads1015\n")
    assert find_adc(black.machine) is None
    finding = adc_finding(OVERLAYS_ON, None)
    assert "no TI-am335x-adc" in finding.found
    assert "uEnv.txt" in (finding.todo or "")


def test_a_kernel_without_the_adcs_buffer_is_told_of(tmp_path: Path) -> None:
    am335x_tree(tmp_path, with_buffer=False)
    assert "polled only" in adc_finding(None, find_adc(StandIn(tmp_path).machine)).found


def config(state: Path, rate: int, board: str = "auto") -> DeviceConfig:
    return load_mapping(
        DeviceConfig,
        {
            "device": {"board": board, "state": str(state)},
            "mqtt": {"url": "mqtt://127.0.0.1:1"},
            "stream": [{"name": "ecg", "rate": rate, "channel": [{"name": "a", "input": "P9_39"}]}],
        },
        "test",
    )


def test_the_board_that_auto_found_is_checked_before_its_streams(black: StandIn, tmp_path: Path) -> None:
    found = {finding.check: finding for finding in examine_device(config(tmp_path, 100), black.machine)}
    order = ["machine", "library", "bootloader", "adc", "board", "stream", "state"]
    assert [check for check in found if check in order] == order
    assert all(found[check].ok for check in order)
    assert "so the board is 'beaglebone'" in found["machine"].found
    assert "capture" not in found


def test_a_part_that_is_missing_is_told_of_once(black: StandIn, tmp_path: Path) -> None:
    black.machine.at("/sys/bus/iio/devices/iio:device0/name").write_text("ads1015\n")
    found = {finding.check: finding for finding in examine_device(config(tmp_path, 100), black.machine)}
    assert not found["adc"].ok
    assert "board" not in found
    assert "stream" not in found


def test_a_stream_that_is_captured_needs_the_right_to_capture(black: StandIn, tmp_path: Path) -> None:
    found = {finding.check: finding for finding in examine_device(config(tmp_path, 20_000), black.machine)}
    assert found["stream"].ok
    assert found["capture"].ok


def test_without_a_configuration_a_beaglebone_is_known_by_its_model(black: StandIn) -> None:
    found = {finding.check: finding for finding in examine_machine(black.machine)}
    assert found["adc"].ok
    assert found["board"].ok
