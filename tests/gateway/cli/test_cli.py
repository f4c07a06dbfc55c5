"""What holds for every command: help, and one line for each mistake."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli import COMMANDS
from tests.gateway.cli.conftest import Cli
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port

DEVICE = """\
[device]
name = "bbb1"
[[stream]]
name = "ecg"
rate = 500
[[stream.channel]]
name = "lead_i"
input = "P9_39"
"""


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_every_command_has_help_with_examples(cli: Cli, name: str | None) -> None:
    result = cli(*([name] if name else []), "--help")
    assert result.code == 0
    assert result.err == []
    assert result.out[0].startswith(f"Usage: headwater {name or '[OPTIONS]'}")
    assert any("Examples:" in line or "for examples" in line for line in result.out)
    assert cli(*([name] if name else []), "-h").out == result.out


def test_the_list_of_commands_is_complete(cli: Cli) -> None:
    folder = Path(__file__).parents[3] / "gateway" / "cli"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "common"}
    assert modules == set(COMMANDS)
    listed = "\n".join(cli("--help").out)
    assert all(f"  {name} " in listed and about.split(",")[0] in listed for name, about in COMMANDS.items())


def test_the_version_is_said(cli: Cli) -> None:
    assert cli("--version").out == [f"headwater {__version__}"]


def test_without_a_command_the_help_is_shown(cli: Cli) -> None:
    result = cli()
    assert (result.code, result.out) == (2, [])
    assert result.err[0].startswith("Usage: headwater")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What the bad commands name."""
    (tmp_path / "device.toml").write_text(DEVICE)
    (tmp_path / "two.toml").write_text(DEVICE.replace("rate = 500", "rate = 0") + 'units = "mV"\n')
    (tmp_path / "typo.toml").write_text(DEVICE.replace('name = "bbb1"', 'nam = "bbb1"'))
    (tmp_path / "type.toml").write_text(f'{DEVICE}[mqtt]\nkeepalive = "soon"\n')
    (tmp_path / "broken.toml").write_text("[device\n")
    (tmp_path / "log.txt").write_text("2048\r\n2049\r\nabc\r\n")
    return tmp_path


BAD: dict[str, tuple[list[str], list[str]]] = {
    "unknown command": (["rnu"], ["No such command 'rnu'"]),
    "unknown option": (["sub", "--fast", "a/b"], ["No such option '--fast'"]),
    "missing argument": (["run"], ["Missing argument 'CONFIG'. See 'headwater run --help'."]),
    "missing file": (["run", "{}/none.toml"], ["{}/none.toml: cannot be read: No such file or directory"]),
    "missing relay file": (["relay", "{}/none.toml"], ["{}/none.toml: cannot be read: No such file or directory"]),
    "folder for a file": (["run", "{}"], ["Invalid value for 'CONFIG': File '{}' is a directory."]),
    "unknown key": (["run", "{}/typo.toml"], ["{}/typo.toml:2: device.nam: unknown key; allowed here: name,"]),
    "wrong type": (["run", "{}/type.toml"], ["{}/type.toml:10: mqtt.keepalive: input should be a valid integer"]),
    "two mistakes": (
        ["run", "{}/two.toml"],
        [
            "{}/two.toml:5: stream[0].rate: must be a rate",
            "{}/two.toml:9: stream[0].channel[0].units: ",
        ],
    ),
    "not TOML": (["run", "{}/broken.toml"], ["{}/broken.toml:1: not TOML: Expected ']'"]),
    "unknown board": (
        ["run", "--set", "device.board=simulatd", "{}/device.toml"],
        ["device.board: there is no board 'simulatd'; there are simulated, "],
    ),
    "unknown board option": (
        ["run", "--set", "board.sed=1", "{}/device.toml"],
        ["board 'simulated': sed: unknown key; allowed here: seed, "],
    ),
    "unknown input": (
        ["run", "--set", "stream.0.channel.0.input=P9_1", "{}/device.toml"],
        ["stream 'ecg': board 'simulated' has no input 'P9_1'; it has P9_39,"],
    ),
    "beyond the board's limit": (
        ["run", "--set", "stream.0.rate=300000", "{}/device.toml"],
        ["stream 'ecg': board 'simulated' samples 1 channel(s) at 200000 Hz at most; 300000 Hz was asked for"],
    ),
    "rate 0": (
        ["run", "--set", "stream.0.rate=0", "{}/device.toml"],
        ["--set stream.0.rate=0: stream[0].rate: must be a rate in Hz above 0, such as 500, 0.5"],
    ),
    "state that cannot be kept": (
        ["run", "--set", "device.state=/proc/nothing", "{}/device.toml"],
        ["device.state: cannot make /proc/nothing: "],
    ),
    "bad line in a recording": (
        ["run", "--set", 'stream.0.channel.0.options={{signal="file",path="{}/log.txt"}}', "{}/device.toml"],
        ["stream 'ecg': channel 'lead_i': {}/log.txt, line 3: found 'abc'; allowed: one number"],
    ),
    "demo: rate 0": (["demo", "--rate", "0"], ["Invalid value for --rate: must be a rate in Hz above 0"]),
    "demo: port out of range": (["demo", "--port", "70000"], ["Invalid value for '--port': 70000 is not in the"]),
    "demo: missing recording": (
        ["demo", "--datalog", "{}/none.txt"],
        ["stream 'datalog': channel 'value': {}/none.txt: there is no such file"],
    ),
    "demo: bad line in a recording": (
        ["demo", "--datalog", "{}/log.txt"],
        ["stream 'datalog': channel 'value': {}/log.txt, line 3: found 'abc'; allowed: one number"],
    ),
    "relay: unknown key": (
        ["relay", "--set", "relay.lisen=x"],
        ["--set relay.lisen=x: relay.lisen: unknown key;"],
    ),
    "relay: for all the world": (
        ["relay", "--set", "relay.listen=0.0.0.0:8080"],
        ["--set relay.listen=0.0.0.0:8080: relay.listen: must be on a loopback address"],
    ),
    "unknown form of logs": (
        ["--log-format", "xml", "boards"],
        ["Invalid value for '--log-format': 'xml' is not one of 'text', 'json'. See 'headwater --help'."],
    ),
    "relay: no workers": (
        ["relay", "--workers", "0"],
        ["Invalid value for --workers: must be a number of processes from 1 to 256, or 'auto'; found '0'"],
    ),
    "relay: workers in the file": (
        ["relay", "--set", "relay.workers=many"],
        ["--set relay.workers=many: relay.workers: must be a number of processes from 1 to 256, or 'auto'; found"],
    ),
    "sub: no stream": (["sub", "ecg"], ["'ecg' is not a stream: it must be 'device/stream'"]),
    "sub: no broker's address": (
        ["sub", "a/b", "--url", "http://x"],
        ["--url, --root: url: must be mqtt://[user@]host[:port] or mqtts://[user@]host[:port]; found 'http://x'"],
    ),
    "sub: no such configuration": (
        ["sub", "a/b", "--config", "{}/none.toml"],
        ["{}/none.toml: cannot be read: No such file or directory"],
    ),
    "sub: a configuration without a broker": (
        ["sub", "a/b", "--config", "{}/device.toml"],
        ["{}/device.toml: mqtt: must be one table; found none"],
    ),
    "sub: a configuration that is none": (
        ["sub", "a/b", "--config", "{}/broken.toml"],
        ["{}/broken.toml:1: not TOML: Expected ']'"],
    ),
    "sub: a mistake in a configuration": (
        ["sub", "a/b", "--config", "{}/type.toml"],
        ["{}/type.toml: mqtt: keepalive: input should be a valid integer"],
    ),
    "sub: unknown format": (
        ["sub", "a/b", "--format", "xml"],
        ["Invalid value for '--format': 'xml' is not one of"],
    ),
    "sub: count 0": (["sub", "a/b", "--count", "0"], ["Invalid value for '--count': 0 is not in the range x>=1."]),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_mistake_is_one_line_and_exit_code_2(cli: Cli, files: Path, kind: str) -> None:
    arguments, lines = BAD[kind]
    result = cli(*[argument.format(files) for argument in arguments])
    assert result.code == 2
    assert result.out == []
    assert len(result.err) == len(lines), result.err
    for line, expected in zip(result.err, lines, strict=True):
        assert line.startswith("headwater: " + expected.format(files))


class TestPorts:
    @pytest.fixture
    def taken(self) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener.getsockname()[1]

    def test_a_port_that_is_taken_is_named_with_the_way_to_another(self, cli: Cli, taken: int) -> None:
        busy = f"headwater: cannot listen on 127.0.0.1 port {taken}: Address already in use; choose another with"
        for arguments, option in (
            (("broker", "--port", f"{taken}"), "--port"),
            (("demo", "--port", f"{taken}", "--mqtt-port", f"{free_port()}"), "--port"),
            (("demo", "--port", f"{free_port()}", "--mqtt-port", f"{taken}"), "--mqtt-port"),
        ):
            result = cli(*arguments)
            assert (result.code, result.err) == (2, [f"{busy} {option}"])

    def test_a_relay_names_the_key(self, cli: Cli, taken: int) -> None:
        result = cli("relay", "--set", f"relay.listen=127.0.0.1:{taken}")
        assert result.code == 2
        assert result.err == [
            f"headwater: relay.listen: cannot listen on 127.0.0.1:{taken}: Address already in use"
        ]

    def test_an_address_of_another_machine_is_refused(self, cli: Cli) -> None:
        result = cli("broker", "--host", "192.0.2.1")
        assert (result.code, len(result.err)) == (2, 1)
        assert "cannot listen on 192.0.2.1 port 1883: Cannot assign requested address" in result.err[0]


class TestCheck:
    def test_of_a_device_says_what_would_run(self, cli: Cli, files: Path) -> None:
        result = cli("run", "--check", f"{files}/device.toml")
        assert (result.code, result.err) == (0, [])
        assert result.out == [
            "device bbb1 on board simulated, mqtt://127.0.0.1:1883",
            "stream bbb1/ecg: lead_i (P9_39) at 500 Hz, 50 frames a batch, cbor, "
            "to headwater/bbb1/stream/ecg/batch",
        ]

    def test_of_a_relay_says_what_would_run(self, cli: Cli) -> None:
        result = cli("relay", "--check", "--set", "mqtt.root=lab", "--set", "relay.listen=127.0.0.1:9000")
        assert (result.code, result.err) == (0, [])
        assert result.out[0] == "relay from mqtt://127.0.0.1:1883 to http://127.0.0.1:9000"
        assert "subscribes to lab/+/stream/+/batch" in result.out

    def test_of_a_relay_says_how_many_workers_there_would_be(self, cli: Cli) -> None:
        assert cli("relay", "--check", "--workers", "3").out[0].endswith("8080, 3 workers")
        assert "worker" not in cli("relay", "--check", "--workers", "1").out[0]

    def test_makes_nothing_and_connects_to_nothing(
        self, cli: Cli, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(files / "state"))
        assert cli("run", "--check", f"{files}/device.toml").code == 0
        assert not (files / "state").exists()

    def test_shows_no_password(self, cli: Cli, files: Path) -> None:
        for arguments in (("run", "--check", f"{files}/device.toml"), ("relay", "--check")):
            result = cli(*arguments, "--set", "mqtt.url=mqtt://me:geheim@broker.lan")
            assert result.code == 0
            assert "mqtt://me:***@broker.lan" in result.out[0]

    def test_reads_the_environment(self, cli: Cli, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HEADWATER__DEVICE__NAME", "bbb9")
        assert cli("run", "--check", f"{files}/device.toml").out[0].startswith("device bbb9 ")


class TestNoBroker:
    def test_a_reader_is_told_at_once(self, cli: Cli) -> None:
        port = free_port()
        result = cli("sub", "a/b", "--url", f"mqtt://127.0.0.1:{port}")
        assert (result.code, result.out) == (2, [])
        assert result.err == [f"headwater: broker: 127.0.0.1:{port}: Connection refused"]

    def test_a_reader_who_is_refused_is_told_why(self, cli: Cli, tmp_path: Path) -> None:
        with Mosquitto(tmp_path, users={"me": "geheim"}) as broker:
            result = cli("sub", "a/b", "--url", broker.url)
            assert result.code == 2
            assert result.err == [
                f"headwater: broker: 127.0.0.1:{broker.port}: the broker refused: Not authorized",
            ]

    def test_a_host_that_does_not_exist_is_named(self, cli: Cli) -> None:
        result = cli("sub", "a/b", "--url", "mqtt://no-such-host.invalid")
        assert (result.code, len(result.err)) == (2, 1)
        assert result.err[0].startswith("headwater: broker: no-such-host.invalid:1883: ")


def test_boards_are_listed_with_what_keeps_them_from_running_here(cli: Cli) -> None:
    result = cli("boards")
    assert result.code == 0
    simulated = next(number for number, line in enumerate(result.out) if line.startswith("simulated"))
    assert result.out[simulated + 1].strip() == "available"
    assert any("not available: " in line for line in result.out)
