"""docs/boards.md: every configuration on it is accepted by its board, and every option is described."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest

from boards import Channel, SourceRequest, faults
from boards.base import Board
from boards.beaglebone import BeagleBoneBoard
from boards.beaglebone.options import BeagleBoneOptions, Uart
from boards.beaglebone.pins import BEAGLEBONE_ANALOG, BEAGLEBONE_DIGITAL, POCKETBEAGLE_ANALOG, POCKETBEAGLE_DIGITAL
from boards.blinka_options import BlinkaOptions, ChannelOptions
from boards.iio import IioBoard
from boards.iio.options import CaptureOptions
from boards.options import parse_options
from boards.registry import BOARDS
from boards.serial import SerialOptions, open_serial_source
from boards.serial.crc import CRCS
from boards.serial.instruments import INSTRUMENTS
from boards.serial.options import FrameName, ParseName
from boards.signals.options import KINDS
from boards.simulated import SimulatedOptions
from gateway.config import DeviceConfig, StreamSettings, load_mapping
from gateway.device.plan import Plan
from tests.standin.iio_tree import IioTree, am335x_tree
from tests.support.pages import Page, blocks, code_in

PAGE = Page("docs/boards.md")
FIRST_SENSOR = "The first sensor"


def configurations(text: str) -> list[DeviceConfig]:
    """All of a text, but for the metadata of a package."""
    contents = [tomllib.loads(block) for block in blocks(text, "toml")]
    return [
        load_mapping(DeviceConfig, content, PAGE.path.name) for content in contents if "project" not in content
    ]


def of_board(name: str) -> list[DeviceConfig]:
    found = [config for config in configurations(PAGE.text) if config.device.board == name]
    assert found
    return found


def request_of(stream: StreamSettings) -> SourceRequest:
    channels = tuple(Channel(c.name, c.input or c.name, c.options) for c in stream.channel)
    return SourceRequest(channels, stream.rate, stream.batch_frames, stream.options)


def check(board: Board, config: DeviceConfig) -> None:
    for stream in config.stream:
        board.check(request_of(stream))


def test_every_block_of_toml_is_a_configuration_or_a_package() -> None:
    assert len(configurations(PAGE.text)) == len(blocks(PAGE.text, "toml")) - 1


class TestConfigurations:
    def test_of_the_beaglebone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tree = am335x_tree(tmp_path, averages=16, open_delay=0x98)  # BeagleBoard's overlay
        monkeypatch.setattr(BeagleBoneBoard, "sysfs", tree.sys)
        monkeypatch.setattr(BeagleBoneBoard, "dev", tree.dev)
        for config in of_board("beaglebone"):
            check(BeagleBoneBoard(config.board), config)

    def test_of_iio(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tree = IioTree(tmp_path, {"in_voltage0-voltage1": "le:s12/16>>4"}, name="ads1015")
        monkeypatch.setattr(IioBoard, "sysfs", tree.sys)
        monkeypatch.setattr(IioBoard, "dev", tree.dev)
        for config in of_board("iio"):
            check(IioBoard(config.board), config)

    def test_of_blinka(self) -> None:  # tests/boards/blinka_inside.py reads the values
        [config] = of_board("blinka")
        parse_options(BlinkaOptions, config.board, "board")
        for channel in config.stream[0].channel:
            parse_options(ChannelOptions, channel.options, channel.name)

    def test_of_the_simulated_board(self) -> None:
        for config in of_board("simulated"):
            Plan(config)

    def test_of_serial_instruments(self) -> None:
        [config] = configurations(PAGE.section("Serial instruments"))
        [stream] = config.stream
        assert open_serial_source(request_of(stream), stream.serial or {}).options.port == "/dev/ttyS1"


class TestTheFirstSensor:
    def test_its_configurations_run_on_the_simulated_board_as_they_are(self) -> None:
        knob, sensor = configurations(PAGE.section(FIRST_SENSOR))
        for config in (knob, sensor):
            Plan(config.model_copy(update={"device": config.device.model_copy(update={"board": "simulated"})}))

    def test_the_scales_are_those_of_the_wiring(self) -> None:
        knob, sensor = configurations(PAGE.section(FIRST_SENSOR))
        [position], [output] = knob.stream[0].channel, sensor.stream[0].channel
        assert position.scale * 4095 == pytest.approx(100, rel=1e-3)
        assert output.scale * 4095 == pytest.approx(1.8 * (12 + 10) / 10, rel=1e-3)
        assert pytest.approx(1.5) == 3.3 * 10 / (12 + 10)
        assert pytest.approx(1.56, abs=0.01) == 5 * 10 / (22 + 10)

    def test_the_limit_stands_in_the_text_and_in_the_picture(self) -> None:
        picture = PAGE.path.parent / "images/first-sensor.svg"
        assert "stands 1.8 V" in PAGE.section(FIRST_SENSOR)
        assert "More than 1.8 V at an AIN pin" in picture.read_text(encoding="utf-8")


def rows(text: str) -> str:
    """The lines of all tables."""
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def undescribed(names: Iterable[str], text: str) -> set[str]:
    """Those that stand nowhere in the text as code."""
    code = code_in(text)
    return {name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code)}


class TestDescriptions:
    def test_every_board_of_ours_is_in_the_table(self) -> None:
        table = rows(PAGE.text.partition("## The first sensor")[0])
        assert undescribed(BOARDS, table) == set()
        counts = (
            len(BEAGLEBONE_ANALOG),
            len(BEAGLEBONE_DIGITAL),
            len(POCKETBEAGLE_ANALOG),
            len(POCKETBEAGLE_DIGITAL),
        )
        assert (
            "{} analog pins, 12 bits, **0 to 1.8 V**; {} digital pins; PocketBeagle: {} and {}".format(*counts)
            in table
        )

    @pytest.mark.parametrize(
        ("heading", "names"),
        [
            ("Simulated", [*SimulatedOptions.model_fields, *KINDS, *faults.KINDS]),
            (
                "BeagleBone",
                [*BeagleBoneOptions.model_fields, "pull", *CaptureOptions.model_fields.keys() - {"trigger"}],
            ),
            ("BeagleBone", [uart for uart in get_args(Uart) if not uart.startswith("PB-")]),
            ("BeagleBone", [*BEAGLEBONE_ANALOG, *POCKETBEAGLE_ANALOG]),
            ("IIO", ["device", *CaptureOptions.model_fields]),
            ("Blinka", [*BlinkaOptions.model_fields.keys() - {"frequency"}, "wrap"]),
            ("Serial instruments", SerialOptions.model_fields),
            ("Serial instruments", [*get_args(FrameName), *get_args(ParseName), *CRCS]),
            ("Serial instruments", [f"simulated:{kind}" for kind in INSTRUMENTS]),
        ],
    )
    def test_every_option_and_every_kind_is_described(self, heading: str, names: Iterable[str]) -> None:
        assert undescribed(names, PAGE.section(heading)) == set()

    @pytest.mark.parametrize("model", [*KINDS.values(), *faults.KINDS.values()])
    def test_every_option_of_a_signal_or_a_fault_is_described(self, model: Any) -> None:
        assert undescribed(model.model_fields.keys() - {"signal", "kind"}, PAGE.section("Simulated")) == set()
