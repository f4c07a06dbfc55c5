"""What a configuration asks of a board reaches the board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import DeviceConfig, load_mapping
from gateway.device.plan import Plan
from gateway.errors import ConfigError
from tests.standin.iio_tree import am335x_tree


def plan(board: str, board_options: dict[str, Any], **stream: Any) -> Plan:
    content = {"device": {"board": board}, "board": board_options, "stream": [{"name": "s", **stream}]}
    return Plan(load_mapping(DeviceConfig, content, "test"))


def test_the_options_of_a_stream_reach_the_board(tmp_path: Path) -> None:
    tree = am335x_tree(tmp_path)
    wanted: dict[str, Any] = {"rate": 1000, "channel": [{"name": "a", "input": "voltage0"}]}
    plan("iio", tree.options, **wanted)
    with pytest.raises(ConfigError, match="500 values a second can be polled; 1000 were asked for"):
        plan("iio", tree.options, **wanted, options={"capture": "polled"})


def test_a_board_that_knows_no_options_of_streams_refuses_them() -> None:
    wanted: dict[str, Any] = {"rate": 1000, "channel": [{"name": "a", "input": "P9_39"}]}
    with pytest.raises(ConfigError, match=r"stream 's': stream on board 'simulated': capture: unknown key"):
        plan("simulated", {}, **wanted, options={"capture": "polled"})


def test_a_serial_stream_has_one_place_for_its_options() -> None:
    wanted: dict[str, Any] = {"channel": [{"name": "spo2"}], "serial": {"port": "simulated:oximeter"}}
    plan("simulated", {}, **wanted)
    with pytest.raises(ConfigError, match=r"stream\[0\].serial: must hold all options"):
        plan("simulated", {}, **wanted, options={"baud": 9600})


class TestWhatReadersAreTold:
    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({}, ("V", 1.8 / 4095, 0.0)),
            ({"unit": "count"}, ("count", 1.0, 0.0)),
            ({"unit": "mV", "scale": 0.5}, ("mV", 0.5, 0.0)),
            ({"offset": -2.0}, ("", 1.0, -2.0)),
        ],
    )
    def test_what_the_configuration_does_not_say_of_a_channels_values_the_board_does(
        self, given: dict[str, Any], told: tuple[str, float, float]
    ) -> None:
        made = plan("simulated", {}, rate=100, channel=[{"name": "a", "input": "AIN0", **given}])
        [channel] = made.streams[0].stream.channels
        assert (channel.unit, channel.scale, channel.offset) == told
        assert channel.input == "AIN0"

    def test_an_instruments_numbers_are_physical_already(self) -> None:
        serial = {"port": "simulated:oximeter", "parse": "json"}
        for board in ("simulated", "serial"):
            made = plan(board, {}, channel=[{"name": "P9_39"}], serial=serial)
            [channel] = made.streams[0].stream.channels
            assert (channel.unit, channel.scale, channel.offset) == ("", 1.0, 0.0)
