"""Real CircuitPython drivers on the real Blinka. Run by test_blinka.py in a process of its own, which is forced
to take this machine for a BeagleBone Black: Blinka's modules, once imported, cannot be told otherwise."""

from __future__ import annotations

import os
import struct
import tomllib
import tty
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from boards import (
    BadOption,
    Block,
    Board,
    BoardUnavailable,
    Channel,
    LimitExceeded,
    SourceLost,
    SourceRequest,
    UnknownInput,
)
from boards.blinka import FAILURES_UNTIL_LOST, BlinkaBoard, BlinkaSource
from boards.registry import load_board
from tests.boards.contract import QuietContract, SourceContract, UnplugContract
from tests.standin.blinka_bus import Ads1115, KernelBus, Lis3dh, Mcp9808
from tests.support.pages import Page, blocks

ADS1115 = {"driver": "adafruit_ads1x15.ads1115.ADS1115"}
MCP9808 = {"driver": "adafruit_mcp9808.MCP9808"}
LIS3DH = {"driver": "adafruit_lis3dh.LIS3DH_I2C"}
ANALOG_IN = "adafruit_ads1x15.analog_in.AnalogIn"


@pytest.fixture(autouse=True)
def bus() -> KernelBus:
    bus = KernelBus()
    bus.chips = {0x18: Mcp9808(), 0x48: Ads1115(), 0x19: Lis3dh()}
    bus.install()
    return bus


def pin(name: str, number: int, *more: int, input: str = "voltage") -> Channel:
    return Channel(name, input, {"wrap": ANALOG_IN, "arguments": [number, *more]})


def source_of(options: dict[str, Any], *channels: Channel, rate: int = 200, block: int = 1) -> BlinkaSource:
    return BlinkaBoard(options).open_source(SourceRequest(channels, Fraction(rate), block))


def first_row(source: BlinkaSource) -> list[float]:
    with source:
        while True:
            block = source.read()
            if len(block.frames):
                row: list[float] = block.frames[0].tolist()
                return row


class TestContract(SourceContract, QuietContract, UnplugContract):
    @pytest.fixture(autouse=True)
    def _bus(self, bus: KernelBus) -> None:
        self.bus = bus

    def make_board(self) -> Board:
        return load_board("blinka")(ADS1115)

    def make_request(self) -> SourceRequest:
        return SourceRequest((pin("a", 0), pin("b", 1, input="value")), Fraction(100), 10)

    def make_quiet_request(self) -> SourceRequest:
        return SourceRequest((pin("a", 0),), Fraction(1, 2))

    def unplug(self) -> None:
        self.taken = self.bus.chips.pop(0x48)

    def replug(self) -> None:
        self.bus.chips[0x48] = self.taken


class TestAnAdc:
    @pytest.fixture
    def adc(self, bus: KernelBus) -> Ads1115:
        chip = bus.chips[0x48]
        assert isinstance(chip, Ads1115)
        chip.volts = [0.5, 1.0, -0.25, 3.3]
        return chip

    @pytest.mark.usefixtures("adc")
    def test_its_pins_are_channels_in_counts_or_volts(self) -> None:
        source = source_of(ADS1115, pin("a", 0), pin("b", 1, input="value"), pin("c", 2), pin("d", 3))
        assert first_row(source) == pytest.approx([0.5, 8000, -0.25, 3.3], abs=2e-4)
        assert source.dtype == np.float64

    @pytest.mark.usefixtures("adc")
    def test_a_pair_of_pins_is_a_channel_too(self) -> None:
        assert first_row(source_of(ADS1115, pin("a", 0, 1))) == pytest.approx([-0.5], abs=2e-4)

    def test_arguments_and_settings_reach_the_driver(self, adc: Ads1115) -> None:
        options = {**ADS1115, "arguments": {"gain": 8}, "settings": {"data_rate": 860}}
        assert first_row(source_of(options, pin("c", 2, input="value"))) == [-16_000]
        assert adc.registers[1] & 0x00E0 == 0x00E0

    def test_a_property_that_two_channels_use_is_read_once_a_frame(self, adc: Ads1115) -> None:
        row = first_row(source_of(ADS1115, pin("a", 0), pin("again", 0)))
        assert row[0] == row[1]
        assert adc.conversions == 1

    def test_another_address_is_an_option(self, bus: KernelBus, adc: Ads1115) -> None:
        bus.chips = {0x4A: adc}
        assert first_row(source_of({**ADS1115, "address": 0x4A}, pin("b", 1))) == pytest.approx([1.0], abs=2e-4)

    def test_a_wrong_setting_is_lost_with_the_drivers_own_words(self) -> None:
        with pytest.raises(SourceLost, match="Gain must be one of"):
            source_of({**ADS1115, "settings": {"gain": 3}}, pin("a", 0)).open()


class TestAThermometer:
    @pytest.mark.parametrize("celsius", [0.0, 21.5, -12.25, 99.9375])
    def test_its_property_is_a_channel(self, bus: KernelBus, celsius: float) -> None:
        chip = bus.chips[0x18]
        assert isinstance(chip, Mcp9808)
        chip.celsius = celsius
        assert first_row(source_of(MCP9808, Channel("temperature", ""))) == [celsius]

    def test_inputs_are_the_drivers_properties(self) -> None:
        names = [known.name for known in BlinkaBoard(MCP9808).inputs()]
        assert {"temperature", "resolution", "above_critical"} <= set(names)
        assert all(not name.startswith("_") for name in names)
        assert BlinkaBoard().inputs() == ()


def test_parts_of_a_property_are_channels_of_one_reading(bus: KernelBus) -> None:
    chip = bus.chips[0x19]
    assert isinstance(chip, Lis3dh)
    chip.move(0, -8190, 16380)
    options = {**LIS3DH, "address": 0x19}
    source = source_of(options, Channel("z", "acceleration.z"), Channel("y", "acceleration.1"))
    with source:
        before = chip.reads
        row = source.read().frames[0].tolist()
    assert row == pytest.approx([9.806, -4.903])
    assert chip.reads - before == 2  # the range, and all axes at once


class Doubtful:
    """Properties that are no numbers to rely on."""

    def __init__(self, driver: object) -> None: ...

    @property
    def infinite(self) -> float:
        return float("inf")

    @property
    def nothing(self) -> None:
        return None

    @property
    def raising(self) -> float:
        raise ZeroDivisionError


class TestFailures:
    @pytest.fixture
    def source(self) -> Iterator[BlinkaSource]:
        with source_of(MCP9808, Channel("t", "temperature"), rate=100) as source:
            yield source

    def read_index(self, source: BlinkaSource, count: int) -> list[Block]:
        blocks: list[Block] = []
        while sum(block.lost + len(block.frames) for block in blocks) < count:
            blocks.append(source.read())
        return blocks

    def undecodable(self, blocks: list[Block]) -> int:
        return sum(block.lost for block in blocks if block.reason == "undecodable")

    def test_a_single_hiccup_is_tried_again(self, bus: KernelBus, source: BlinkaSource) -> None:
        bus.failures = 1
        assert self.undecodable(self.read_index(source, 5)) == 0
        assert bus.failures == 0

    def test_a_frame_that_fails_twice_is_declared_and_the_source_goes_on(
        self, bus: KernelBus, source: BlinkaSource
    ) -> None:
        bus.failures = 2
        blocks = self.read_index(source, 5)
        assert self.undecodable(blocks) == 1
        assert len(blocks[-1].frames) == 1

    def test_failures_one_after_another_lose_the_source_and_opening_brings_it_back(
        self, bus: KernelBus, source: BlinkaSource
    ) -> None:
        self.read_index(source, 3)
        bus.failures = 2 * FAILURES_UNTIL_LOST
        failed: list[Block] = []
        while self.undecodable(failed) < FAILURES_UNTIL_LOST - 1:
            failed.append(source.read())
        assert sum(len(block.frames) for block in failed) == 0
        with pytest.raises(SourceLost, match=r"failed 5 times, the last: .*timed out"):
            self.read_index(source, 1)
        source.open()
        assert self.read_index(source, 1)

    @pytest.mark.parametrize("input", ["infinite", "nothing", "raising"])
    def test_what_is_no_finite_number_is_a_failure(self, input: str) -> None:
        channel = Channel("t", input, {"wrap": "tests.boards.blinka_inside.Doubtful"})
        with source_of(MCP9808, channel) as source:
            assert self.undecodable(self.read_index(source, 3)) >= 1

    def test_the_bus_is_given_back(self, bus: KernelBus) -> None:
        source = source_of(MCP9808, Channel("t", "temperature"))
        for _ in range(3):
            with source:
                source.read()
        del source
        assert bus.opened == bus.closed > 0

    def test_a_bus_that_is_not_there_is_lost(self, bus: KernelBus) -> None:
        bus.there = False
        with pytest.raises(SourceLost, match="Make sure I2C is enabled"):
            source_of(MCP9808, Channel("t", "temperature")).open()

    def test_a_chip_that_is_not_there_is_lost(self) -> None:
        with pytest.raises(SourceLost, match="No I2C device at address: 0x49"):
            source_of({**MCP9808, "address": 0x49}, Channel("t", "temperature")).open()


def test_an_spi_driver_has_its_bus_and_its_select_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blinka's SPI and pins need a kernel with both, so here they stand in; the driver on them is real."""
    import busio
    import digitalio

    given_back: list[str] = []

    class Spi:
        def __init__(self, *pins: object) -> None:
            self.pins = [str(pin) for pin in pins]

        def try_lock(self) -> bool:
            return True

        def unlock(self) -> None: ...

        def configure(self, **_: object) -> None: ...

        def readinto(self, buffer: bytearray) -> None:
            assert self.pins == ["SPI0_SCLK", "SPI0_D1", "SPI0_D0"]
            buffer[:] = struct.pack(">hh", round(-10.25 * 4) << 2, round(25.5 / 0.0625) << 4)

        def deinit(self) -> None:
            given_back.append("bus")

    class Select:
        def __init__(self, pin: object) -> None:
            assert str(pin) == "P9_12"
            self.value = True

        def switch_to_output(self, value: bool) -> None: ...

        def deinit(self) -> None:
            given_back.append("select")

    monkeypatch.setattr(busio, "SPI", Spi)
    monkeypatch.setattr(digitalio, "DigitalInOut", Select)
    options = {"driver": "adafruit_max31855.MAX31855", "bus": "spi", "pins": {"cs": "P9_12"}}
    source = source_of(options, Channel("t", "temperature"), Channel("r", "reference_temperature"))
    assert first_row(source) == [-10.25, 25.5]
    assert given_back == ["select", "bus"]


def test_a_uart_driver_has_a_port_and_a_methods_dict_gives_channels() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    options = {"driver": "adafruit_pm25.uart.PM25_UART", "bus": "uart", "port": os.ttyname(slave)}
    with source_of(options, Channel("pm25", "read.pm25 env"), Channel("pm100", "read.pm100 env")) as source:
        packet = b"BM" + struct.pack(">14H", 28, 1, 2, 3, 4, 55, 66, 0, 0, 0, 0, 0, 0, 0)
        os.write(master, packet + struct.pack(">H", sum(packet)))
        assert source.read().frames.tolist() == [[55, 66]]
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize(
    ("options", "channel", "error", "message"),
    [
        ({}, Channel("t", ""), BadOption, "blinka: driver: is missing"),
        ({"driver": "ADS1115"}, Channel("t", ""), BadOption, "blinka: driver: string should match"),
        ({**MCP9808, "adress": 1}, Channel("t", ""), BadOption, "adress: unknown key.*did you mean 'address'"),
        ({**MCP9808, "address": 0x80}, Channel("t", ""), BadOption, "address: input should be less than"),
        ({**MCP9808, "bus": "uart"}, Channel("t", ""), BadOption, "bus = 'uart' needs 'port'"),
        (
            MCP9808,
            Channel("t", "temprature"),
            UnknownInput,
            "MCP9808 has no 'temprature'; it has .*did you mean 'temp",
        ),
        (MCP9808, Channel("t", "temperature", {"wrop": 1}), BadOption, "channel 't': wrop: unknown key"),
        (
            ADS1115,
            Channel("a", "volts", {"wrap": ANALOG_IN}),
            UnknownInput,
            "AnalogIn has no 'volts'; it has .*voltage",
        ),
        ({"driver": "adafruit_mcp9808.MCP9809"}, Channel("t", ""), BoardUnavailable, "has no class 'MCP9809'"),
        (
            {"driver": "adafruit_no_such_chip.Chip"},
            Channel("t", ""),
            BoardUnavailable,
            "pip install adafruit-circuitpython-no-such-chip",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_opened(
    options: dict[str, Any], channel: Channel, error: type[Exception], message: str, bus: KernelBus
) -> None:
    with pytest.raises(error, match=message):
        BlinkaBoard(options).check(SourceRequest((channel,), Fraction(1)))
    assert bus.opened == 0


def test_a_stream_without_a_rate_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="needs a rate"):
        BlinkaBoard(MCP9808).check(SourceRequest((Channel("t", "temperature"),)))


class Pinned:
    """Made of a driver and a pin."""

    def __init__(self, _driver: object, pin: object) -> None:
        self._pin = pin

    @property
    def is_p9_12(self) -> bool:
        import board

        return self._pin is board.P9_12


def test_a_pin_can_be_an_argument() -> None:
    options = {"wrap": "tests.boards.blinka_inside.Pinned", "arguments": ["board.P9_12"]}
    assert first_row(source_of(MCP9808, Channel("pin", "is_p9_12", options))) == [1.0]


def test_the_pages_example_is_accepted(bus: KernelBus) -> None:
    [text] = blocks(Page("docs/boards.md").section("Blinka"), "toml")
    content = tomllib.loads(text)
    [stream] = content["stream"]
    channels = [Channel(entry["name"], entry["input"], entry["options"]) for entry in stream["channel"]]
    chip = bus.chips[0x48]
    assert isinstance(chip, Ads1115)
    chip.volts = [3.7, 0.0, 1.0, 0.25]
    assert first_row(source_of(content["board"], *channels)) == pytest.approx([3.7, 0.75], abs=2e-4)
