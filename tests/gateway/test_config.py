"""Configuration: what is read, and what is said of every kind of mistake."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.config import DeviceConfig, DeviceSettings, OutboxSettings, RelayConfig, load, load_mapping
from gateway.errors import ConfigError

DEVICE = """\
[device]
name = "bbb1"

[mqtt]
url = "mqtt://broker.lan:1884"

[[stream]]
name = "ecg"
rate = "1000/3"
batch = "100ms"
[[stream.channel]]
name = "lead_i"
input = "P9_39"
scale = 0.0011
[[stream.channel]]
name = "lead_ii"
input = "P9_40"
options = { amplitude = 0.5 }

[[stream]]
name = "breath"
rate = 0.5
channel = [{ name = "air", input = "P9_37" }]
"""


def read(
    directory: Path, text: str, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> DeviceConfig:
    path = directory / "device.toml"
    path.write_text(text)
    return load(DeviceConfig, path, overrides, environment or {})


def mistakes(
    directory: Path, text: str, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> list[str]:
    """The lines of the error, without the directory's name."""
    with pytest.raises(ConfigError) as caught:
        read(directory, text, overrides, environment)
    return str(caught.value).replace(f"{directory}/", "").splitlines()


def test_a_file_becomes_typed_settings(tmp_path: Path) -> None:
    config = read(tmp_path, DEVICE)
    assert config.device.name == "bbb1"
    assert (config.mqtt.host, config.mqtt.port) == ("broker.lan", 1884)
    ecg, breath = config.stream
    assert (ecg.rate, ecg.batch, ecg.batch_frames) == (Fraction(1000, 3), 0.1, 33)
    assert [channel.input for channel in ecg.channel] == ["P9_39", "P9_40"]
    assert ecg.channel[0].scale == 0.0011
    assert ecg.channel[1].options == {"amplitude": 0.5}
    assert (breath.rate, breath.batch_frames) == (Fraction(1, 2), 1)


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    config = read(tmp_path, '[[stream]]\nname="a"\nrate=1\nchannel=[{name="a",input="x"}]')
    assert (config.device.board, config.device.state) == ("simulated", None)
    assert (config.mqtt.url, config.mqtt.root) == ("mqtt://127.0.0.1:1883", "headwater")
    assert (config.outbox.max_bytes, config.outbox.drop) == (256 << 20, "oldest")
    assert (config.stream[0].codec, config.stream[0].batch) == ("cbor", 0.1)
    channel = config.stream[0].channel[0]
    assert (channel.unit, channel.scale, channel.offset) == ("", 1.0, 0.0)


def test_a_relay_needs_no_file() -> None:
    config = load(RelayConfig, None, (), {})
    assert (config.relay.host, config.relay.port, config.relay.queue) == ("127.0.0.1", 8080, 4 << 20)


def test_a_relay_listens_on_ipv6_too() -> None:
    config = load(RelayConfig, None, ["relay.listen=[::1]:9000"], {})
    assert (config.relay.host, config.relay.port) == ("::1", 9000)


def keys(model: type[BaseModel]) -> str:
    """All that may stand in a table."""
    return ", ".join(model.model_fields)


ONE = """\
[[stream]]
name = "a"
rate = 1
channel = [{ name = "a", input = "x" }]
"""

MISTAKES: dict[str, tuple[str, str]] = {
    "unknown key": (
        f'{ONE}[device]\nbord = "simulated"\n',
        f"device.toml:6: device.bord: unknown key; allowed here: {keys(DeviceSettings)}; did you mean 'board'?",
    ),
    "unknown table": (
        f"{ONE}\n[mqttt]\n",
        "device.toml:6: mqttt: unknown key; allowed here: device, board, mqtt, outbox, stream; "
        "did you mean 'mqtt'?",
    ),
    "unknown key with nothing near it": (
        f"{ONE}[outbox]\nzzz = 1\n",
        f"device.toml:6: outbox.zzz: unknown key; allowed here: {keys(OutboxSettings)}",
    ),
    "unknown key in a list": (
        '[[stream]]\nname="a"\nrate=1\n[[stream.channel]]\nname="a"\ninput="x"\nunits="mV"\n',
        "device.toml:7: stream[0].channel[0].units: unknown key; "
        "allowed here: name, input, unit, scale, offset, options; did you mean 'unit'?",
    ),
    "unknown key in an inline table": (
        '[[stream]]\nname="a"\nrate=1\nchannel = [{ name = "a", input = "x", gain = 2 }]\n',
        "device.toml:4: stream[0].channel[0].gain: unknown key; "
        "allowed here: name, input, unit, scale, offset, options",
    ),
    "dotted key": (
        f'device.nam = "x"\n{ONE}',
        f"device.toml:1: device.nam: unknown key; allowed here: {keys(DeviceSettings)}; did you mean 'name'?",
    ),
    "text for a number": (
        f'{ONE}[mqtt]\nkeepalive = "soon"\n',
        "device.toml:6: mqtt.keepalive: input should be a valid integer, unable to parse string as an integer; "
        "found 'soon'",
    ),
    "number for a text": (
        f"{ONE}[device]\nboard = 5\n",
        "device.toml:6: device.board: input should be a valid string; found 5",
    ),
    "text for a table": (f'mqtt = "x"\n{ONE}', "device.toml:1: mqtt: must be a table; found 'x'"),
    "table for a list": (
        '[stream]\nname = "a"\n',
        "device.toml:1: stream: must be a list; found {'name': 'a'}",
    ),
    "number too small": (
        f"{ONE}[mqtt]\nkeepalive = 1\n",
        "device.toml:6: mqtt.keepalive: input should be greater than or equal to 2; found 1",
    ),
    "not one of a few": (
        f'{ONE}[outbox]\ndrop = "middle"\n',
        "device.toml:6: outbox.drop: input should be 'oldest' or 'newest'; found 'middle'",
    ),
    "rate 0": (
        ONE.replace("rate = 1", "rate = 0"),
        "device.toml:3: stream[0].rate: must be a rate in Hz above 0, such as 500, 0.5 or '1000/3'; found 0",
    ),
    "missing key": (
        ONE.replace('name = "a"\n', "", 1),
        "device.toml:1: stream[0].name: is missing and has no default",
    ),
    "missing key in a list": (
        '[[stream]]\nname="a"\nrate=1\n[[stream.channel]]\nname="a"\ninput="x"\n[[stream.channel]]\ninput="b"\n',
        "device.toml:7: stream[0].channel[1].name: is missing and has no default",
    ),
    "missing list": ("", "device.toml: stream: is missing and has no default"),
    "empty list": (
        'stream = []\n[device]\nname = "a"\n',
        "device.toml:1: stream: at least one stream is needed; found []",
    ),
    "unknown codec": (
        f'{ONE}codec = "cbr"\n',
        "device.toml:5: stream[0].codec: must be one of cbor, json; did you mean 'cbor'?; found 'cbr'",
    ),
    "name that fits in no topic": (
        ONE.replace('name = "a"\nrate', 'name = "a/b"\nrate'),
        "device.toml:2: stream[0].name: name 'a/b' is not allowed: it must be 1 to 64 letters, digits, '_', '-' "
        "or '.', beginning with a letter or digit; found 'a/b'",
    ),
    "scale that is no number": (
        ONE.replace('input = "x"', 'input = "x", scale = nan'),
        "device.toml:4: stream[0].channel[0].scale: input should be a finite number; found nan",
    ),
    "url of another kind": (
        f'{ONE}[mqtt]\nurl = "http://broker.lan"\n',
        "device.toml:6: mqtt.url: must be mqtt://[user@]host[:port] or mqtts://[user@]host[:port]; "
        "found 'http://broker.lan'",
    ),
    "url without a host": (
        f'{ONE}[mqtt]\nurl = "mqtt://:1883"\n',
        "device.toml:6: mqtt.url: must be mqtt://[user@]host[:port] or mqtts://[user@]host[:port]; "
        "found 'mqtt://:1883'",
    ),
    "port out of range": (
        f'{ONE}[mqtt]\nurl = "mqtt://h:70000"\n',
        "device.toml:6: mqtt.url: must be mqtt://[user@]host[:port] or mqtts://[user@]host[:port], "
        "with a port from 1 to 65535; found 'mqtt://h:70000'",
    ),
    "root with a wildcard": (
        f'{ONE}[mqtt]\nroot = "a/#"\n',
        "device.toml:6: mqtt.root: must be topic levels without '+', '#' or a '/' at either end; found 'a/#'",
    ),
    "file that is not there": (
        f'{ONE}[mqtt]\npassword_file = "/no/such/file"\n',
        "device.toml:6: mqtt.password_file: must name a file that can be read; found '/no/such/file'",
    ),
}

NOT_TOML: dict[str, tuple[str, str]] = {
    "a value missing": (f"{ONE}rate = \n", "device.toml:5: not TOML: Invalid value, column 8"),
    "the end missing": ("[device", "device.toml: not TOML: Expected ']'"),
    "a number beyond all reason": (f"name = {'9' * 6000}\n", "device.toml: not TOML: Exceeds the limit"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line_with_place_key_what_was_found_and_what_is_allowed(
    tmp_path: Path, kind: str
) -> None:
    text, line = MISTAKES[kind]
    found = mistakes(tmp_path, text)
    assert found == [line]


@pytest.mark.parametrize("kind", NOT_TOML)
def test_what_is_not_toml_is_said_in_one_line_with_its_number(tmp_path: Path, kind: str) -> None:
    text, beginning = NOT_TOML[kind]
    (line,) = mistakes(tmp_path, text)
    assert line.startswith(beginning)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, ONE + ONE)
    assert line.startswith(
        "device.toml:1: stream: two streams are called 'a'; each needs a name of its own; found"
    )
    channels = '[[stream]]\nname="a"\nrate=1\n' + 2 * '[[stream.channel]]\nname="x"\ninput="y"\n'
    (line,) = mistakes(tmp_path, channels)
    assert line.startswith("device.toml:4: stream[0].channel: two channels are called 'x'; each needs a name")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = dedent("""\
        [device]
        bord = "simulated"
        [mqtt]
        keepalive = "soon"
        [[stream]]
        name = "a"
        rate = 0
        [[stream.channel]]
        input = "x"
        """)
    lines = mistakes(tmp_path, text)
    places = [line.split(": ")[:2] for line in lines]
    assert places == [
        ["device.toml:2", "device.bord"],
        ["device.toml:4", "mqtt.keepalive"],
        ["device.toml:7", "stream[0].rate"],
        ["device.toml:8", "stream[0].channel[0].name"],
    ]


def test_the_line_is_right_with_comments_windows_line_ends_and_odd_characters(tmp_path: Path) -> None:
    text = '# one\u2028still one\r\n\r\n[ device ]  # a table\r\n"name" = "a b"\r\n' + ONE
    (line,) = mistakes(tmp_path, text)
    assert line.startswith("device.toml:4: device.name: ")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file or directory$"):
        load(DeviceConfig, tmp_path / "nowhere.toml", (), {})


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match=r"x\.toml: not UTF-8 text: byte 8 is 0xff$"):
        load(DeviceConfig, tmp_path / "x.toml", (), {})


def test_a_password_in_a_url_is_never_shown(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, f'{ONE}[mqtt]\nurl = "amqp://me:geheim@h"\n')
    lines += mistakes(tmp_path, ONE, ["mqtt.url=amqp://me:geheim@h"])
    assert "geheim" not in "".join(lines)
    assert all("'amqp://me:***@h'" in line for line in lines)
    assert load(RelayConfig, None, ["mqtt.url=mqtt://me:geheim@h"], {}).mqtt[0].address == "mqtt://me:***@h"


class TestOverrides:
    def test_the_environment_goes_over_the_file_and_the_command_line_over_both(self, tmp_path: Path) -> None:
        environment = {"HEADWATER__MQTT__URL": "mqtt://env", "HEADWATER__MQTT__ROOT": "env", "OTHER": "x"}
        config = read(tmp_path, DEVICE, ["mqtt.url=mqtt://line"], environment)
        assert (config.mqtt.url, config.mqtt.root) == ("mqtt://line", "env")
        assert config.device.name == "bbb1"

    def test_values_are_toml_or_else_text(self, tmp_path: Path) -> None:
        overrides = [
            "mqtt.keepalive=30",
            'mqtt.root="a/b"',
            "device.name=007",
            "board.buffer_s=0.5",
            "device.board=",
        ]
        config = read(tmp_path, DEVICE, overrides)
        assert (config.mqtt.keepalive, config.mqtt.root, config.device.name) == (30, "a/b", "007")
        assert config.board == {"buffer_s": 0.5}
        assert config.device.board == ""

    def test_elements_of_lists_are_named_by_their_number(self, tmp_path: Path) -> None:
        config = read(tmp_path, DEVICE, ["stream.1.rate=2"], {"HEADWATER__STREAM__0__CHANNEL__1__UNIT": "mV"})
        assert config.stream[1].rate == 2
        assert config.stream[0].channel[1].unit == "mV"

    @pytest.mark.parametrize(
        ("override", "line"),
        [
            (
                "mqtt.keepalive=1",
                "--set mqtt.keepalive=1: mqtt.keepalive: input should be greater than or equal to 2",
            ),
            ("stream.1.rate=0", "--set stream.1.rate=0: stream[1].rate: must be a rate in Hz above 0"),
            ("stream.-1.rate=0", "--set stream.-1.rate=0: stream[1].rate: must be a rate in Hz above 0"),
            ("mqtt.ulr=x", "--set mqtt.ulr=x: mqtt.ulr: unknown key; allowed here: url, root,"),
            ("mqt.url=x", "--set mqt.url=x: mqt: unknown key; allowed here: device, board, mqtt,"),
            ('mqtt={ulr="x"}', '--set mqtt={ulr="x"}: mqtt.ulr: unknown key; allowed here: url, root,'),
            ("stream=5", "--set stream=5: stream: must be a list; found 5"),
            ("stream.7.rate=5", "--set stream.7.rate=5: there is no place stream.7.rate in the configuration"),
            (
                "stream.ecg.rate=5",
                "--set stream.ecg.rate=5: there is no place stream.ecg.rate in the configuration",
            ),
            ("device.name.x=5", "--set device.name.x=5: there is no place device.name.x in the configuration"),
            ("mqtt.url", "--set mqtt.url: must be key=value, such as mqtt.url=mqtt://127.0.0.1"),
        ],
    )
    def test_a_mistake_says_where_it_came_from(self, tmp_path: Path, override: str, line: str) -> None:
        found = mistakes(tmp_path, DEVICE, [override])
        assert found[0].startswith(line), found

    def test_a_mistake_in_the_environment_names_the_variable(self, tmp_path: Path) -> None:
        (line,) = mistakes(tmp_path, DEVICE, (), {"HEADWATER__MQTT__KEEPALIVE": "soon"})
        assert line.startswith("HEADWATER__MQTT__KEEPALIVE: mqtt.keepalive: input should be a valid integer")
        (line,) = mistakes(tmp_path, DEVICE, (), {"HEADWATER__MQT__URL": "x"})
        assert line.startswith("HEADWATER__MQT__URL: mqt: unknown key")

    def test_a_mistake_in_the_file_is_not_blamed_on_an_override_beside_it(self, tmp_path: Path) -> None:
        (line,) = mistakes(tmp_path, f"{ONE}[mqtt]\nkeepalive = 1\n", ["mqtt.root=a"])
        assert line.startswith("device.toml:6: mqtt.keepalive: ")


class TestRelay:
    @pytest.mark.parametrize(
        ("listen", "reason"),
        [
            ("8080", "must be 'address:port' with a port from 1 to 65535; found '8080'"),
            ("127.0.0.1", "must be 'address:port'"),
            ("127.0.0.1:", "must be 'address:port'"),
            (":8080", "must be 'address:port'"),
            ("127.0.0.1:0", "must be 'address:port'"),
            ("127.0.0.1:65536", "must be 'address:port'"),
            ("127.0.0.1:٣", "must be 'address:port'"),
            (
                "0.0.0.0:8080",
                "must be on a loopback address (127.0.0.1, ::1, localhost) as long as there is no login",
            ),
            ("[::]:8080", "must be on a loopback address"),
        ],
    )
    def test_where_it_listens_is_checked(self, listen: str, reason: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load_mapping(RelayConfig, {"relay": {"listen": listen}}, "relay.toml")
        assert str(caught.value).startswith(f"relay.toml: relay.listen: {reason}")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (
                '[[outlet]]\ntype = "zmq"\nbind = "ipc://x"\nstream = "a/b"\n'
                '[[outlet]]\nstream = "a/b"\ntype = "tpc"\n',
                "relay.toml:7: outlet[1].type: must be one of zmq, tcp; did you mean 'tcp'?; found 'tpc'",
            ),
            (
                '[relay]\n[[outlet]]\nstream = "a/b"\n',
                "relay.toml:2: outlet[0].type: is missing and has no default",
            ),
            (
                '[[outlet]]\ntype = "zmq"\nstream = "a/b"\nbind = "ipc://x"\nlisten = "x"\n',
                "relay.toml:5: outlet[0].listen: unknown key; allowed here: stream, type, bind, mode, every",
            ),
            (
                '[[outlet]]\ntype = "tcp"\nlisten = "127.0.0.1:9100"\n',
                "relay.toml:1: outlet[0].stream: is missing and has no default",
            ),
            ('outlet = ["tcp"]\n', "relay.toml:1: outlet[0]: must be a table; found 'tcp'"),
        ],
    )
    def test_a_mistake_in_an_outlet_is_that_of_its_type(self, tmp_path: Path, text: str, line: str) -> None:
        (tmp_path / "relay.toml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            load(RelayConfig, tmp_path / "relay.toml", (), {})
        assert str(caught.value).replace(f"{tmp_path}/", "") == line


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=2))
def test_any_text_is_a_configuration_or_refused(tmp_path_factory: Any, text: str, overrides: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(ConfigError):
        load(RelayConfig, path, overrides, {})
