"""The commands that run until they are stopped, as processes."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.codec import CODECS
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import accepts, free_port
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until

DEVICE = """\
[device]
name = "bbb1"
[[stream]]
name = "ecg"
rate = 500
batch = "10s"
[[stream.channel]]
name = "lead_i"
input = "P9_39"
"""


def device(folder: Path, url: str) -> HeadwaterProcess:
    (folder / "device.toml").write_text(DEVICE)
    process = HeadwaterProcess("run", "--set", f"mqtt.url={url}", f"{folder}/device.toml", state=folder)
    process.wait_for("sampling")
    return process


def relay(folder: Path, url: str) -> HeadwaterProcess:
    port = free_port()
    process = HeadwaterProcess(
        "relay", "--set", f"mqtt.url={url}", "--set", f"relay.listen=127.0.0.1:{port}", state=folder
    )
    wait_until(lambda: accepts(port), "the relay")
    return process


def broker(folder: Path, _: str) -> HeadwaterProcess:
    process = HeadwaterProcess("broker", "--port", f"{free_port()}", state=folder)
    process.wait_for("Ctrl-C stops it")
    return process


def demo(folder: Path, _: str) -> HeadwaterProcess:
    process = HeadwaterProcess("demo", "--port", f"{free_port()}", "--mqtt-port", f"{free_port()}", state=folder)
    process.wait_for("Ctrl-C stops it")
    return process


SERVICES = [device, relay, broker, demo]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("start", SERVICES)
def test_a_service_that_is_stopped_ends_with_0_and_no_traceback(
    mosquitto: Mosquitto, tmp_path: Path, start: Callable[[Path, str], HeadwaterProcess], stop: signal.Signals
) -> None:
    with start(tmp_path, mosquitto.url) as process:
        process.send(stop)
        assert process.wait(10) == 0
        assert "Traceback" not in process.out + process.err
        assert "ERROR" not in process.err


@pytest.mark.parametrize("start", [device, relay])
def test_a_service_without_a_broker_says_so_and_can_be_stopped(
    tmp_path: Path, start: Callable[[Path, str], HeadwaterProcess]
) -> None:
    port = free_port()
    with start(tmp_path, f"mqtt://127.0.0.1:{port}") as process:
        process.wait_for(f"broker: 127.0.0.1:{port}: Connection refused; trying again")
        assert process.terminate(10) == 0
        assert "Traceback" not in process.err


def test_a_stop_sends_the_batch_that_was_begun(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A batch of this device is ten seconds long, so that all that comes is what the stop sends."""
    with Peer(mosquitto.port, "headwater/bbb1/stream/ecg/batch") as peer:
        with device(tmp_path, mosquitto.url) as process:
            process.wait_for("connected")
            assert process.terminate(10) == 0
        (heard,) = peer.wait_for(1)
    assert CODECS["cbor"].decode(heard.payload).index == 0


def test_a_device_that_was_killed_is_said_to_be_lost(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with Peer(mosquitto.port, "headwater/bbb1/status") as peer:
        with device(tmp_path, mosquitto.url) as process:
            peer.wait_for(1)
            process.kill()
        wait_until(lambda: json.loads(peer.heard[-1].payload)["online"] is False, "the will")
    assert json.loads(peer.heard[-1].payload)["reason"] == "connection lost"


def test_a_recording_is_played_through_the_demo(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"".join(b"%d\r\n" % (100 + number) for number in range(10)))
    port, mqtt_port = free_port(), free_port()
    arguments = ("--port", f"{port}", "--mqtt-port", f"{mqtt_port}", "--datalog", f"{log}", "--rate", "200")
    with HeadwaterProcess("demo", *arguments, state=tmp_path) as process:
        process.wait_for("Ctrl-C stops it")
        assert f"http://127.0.0.1:{port}" in process.out
        assert f"mosquitto_sub -p {mqtt_port} -v -t 'headwater/demo/stream/datalog/latest'" in process.out
        listing = wait_until(lambda: streams(port), "the stream")
        assert [stream["stream"] for stream in listing] == ["demo/datalog"]
        url = f"mqtt://127.0.0.1:{mqtt_port}"
        with HeadwaterProcess("sub", "demo/datalog", "--url", url, "--count", "20", state=tmp_path) as reader:
            assert reader.wait() == 0
            rows = [line.split(",") for line in reader.out.splitlines()[1:]]
        assert [int(value) for _, _, value in rows] == [100 + int(index) % 10 for _, index, _ in rows]
        assert len(rows) == 20


def streams(port: int) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/streams") as response:
        listing: list[dict[str, Any]] = json.load(response)["streams"]
        return listing
