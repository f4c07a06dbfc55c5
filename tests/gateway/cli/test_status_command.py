"""`headwater status` as a person or a script calls it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.status import command
from gateway.errors import BrokerError
from tests.support.handmade import HandmadeDevice
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.processes import HeadwaterProcess
from tests.support.stub_broker import StubBroker
from tests.support.waiting import wait_until

DEVICE = """
[device]
name = "bbb1"
health = "0.3s"
[mqtt]
url = "{url}"
[board]
faults = [{{kind = "overrun", at = "0.2s", frames = 37}}]
[[stream]]
name = "ecg"
rate = 500
[[stream.channel]]
name = "lead"
input = "P9_39"
"""


def status(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    with HeadwaterProcess("status", *arguments, state=folder) as process:
        return process.wait(), process.out, process.err


@pytest.fixture
def device(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[HeadwaterProcess]:
    """A device that has lost 37 frames."""
    config = tmp_path / "device.toml"
    config.write_text(DEVICE.format(url=mosquitto.url))
    with (
        Peer(mosquitto.port, "headwater/bbb1/health") as peer,
        HeadwaterProcess("run", str(config), state=tmp_path) as process,
    ):
        wait_until(lambda: any(b"overrun" in heard.payload for heard in peer.heard), f"the loss in {process}")
        yield process


def test_a_person_sees_how_a_device_is(device: HeadwaterProcess, mosquitto: Mosquitto, tmp_path: Path) -> None:
    code, out, err = status(tmp_path, "bbb1", "--wait", "20", "--url", mosquitto.url)
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first.startswith("bbb1: online, epoch ")
    assert first.endswith(", streams ecg")
    shown = dict(line.split(maxsplit=1) for line in lines)
    assert set(shown) == {"acquired", "lost", "unsent", "reconnects", "clock", "load"}
    assert shown["acquired"].startswith("ecg ")
    assert shown["lost"] == "ecg 37 overrun"
    assert shown["reconnects"] == "0"
    assert "MiB" in shown["load"]


def test_a_script_gets_json(device: HeadwaterProcess, mosquitto: Mosquitto, tmp_path: Path) -> None:
    code, out, err = status(tmp_path, "bbb1", "--json", "--wait", "20", "--url", mosquitto.url)
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)["bbb1"]
    assert found["status"]["online"] is True
    assert found["status"]["epoch"] == found["health"]["epoch"]
    assert found["status"]["previous"] == []
    assert found["health"]["lost"] == {"ecg": {"overrun": 37}}
    assert found["health"]["outbox"]["degraded"] is None
    assert found["health"]["rejected"] is None
    assert found["health"]["acquired"]["ecg"] > 100


def test_a_device_that_was_stopped_or_killed_is_offline(
    device: HeadwaterProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    device.kill()
    with Peer(mosquitto.port, "headwater/bbb1/status") as peer:
        wait_until(lambda: any(b"connection lost" in heard.payload for heard in peer.heard), "its death")
    code, out, _ = status(tmp_path, "--url", mosquitto.url)
    assert code == 0
    assert out.startswith("bbb1: offline (connection lost), epoch ")


@contextmanager
def handmade(broker: Mosquitto, name: str = "bbb1") -> Iterator[HandmadeDevice]:
    with Peer(broker.port) as peer:
        yield HandmadeDevice(peer, name)


def test_every_device_on_the_broker_is_listed(mosquitto: Mosquitto, tmp_path: Path) -> None:
    for name in ("bbb2", "bbb1"):
        with handmade(mosquitto, name) as made:
            made.status(5)
    code, out, _ = status(tmp_path, "--url", mosquitto.url)
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["bbb1", "bbb2"]


@pytest.mark.parametrize("content", [{"epoch": 5}, {"epoch": 5, "online": True, "streams": 7}, {}])
def test_a_status_that_no_device_writes_is_called_that(
    mosquitto: Mosquitto, tmp_path: Path, content: dict[str, Any]
) -> None:
    with Peer(mosquitto.port) as peer:
        peer.publish("headwater/bbb1/status", json.dumps(content).encode(), retain=True)
        peer.publish("headwater/bbb2/status", b"\xff\xff", retain=True)
        peer.publish("headwater/-/status", b"{}", retain=True)
    code, out, err = status(tmp_path, "--url", mosquitto.url)
    assert (code, err) == (0, "")
    assert out == "bbb1: its status is not what a device writes\n"


def test_a_device_that_never_was_there_is_an_error(mosquitto: Mosquitto, tmp_path: Path) -> None:
    code, out, err = status(tmp_path, "bbb9", "--url", mosquitto.url)
    assert (code, out) == (2, "")
    assert err == f"headwater: no device 'bbb9' has been on {mosquitto.url} below 'headwater'\n"


def test_a_broker_without_devices_says_so(mosquitto: Mosquitto, tmp_path: Path) -> None:
    assert status(tmp_path, "--url", mosquitto.url)[1].startswith("no device has been on ")
    assert status(tmp_path, "--json", "--url", mosquitto.url)[1] == "{}\n"


def test_without_a_broker_it_ends_with_2(tmp_path: Path) -> None:
    code, out, err = status(tmp_path, "--url", f"mqtt://127.0.0.1:{free_port()}")
    assert (code, out) == (2, "")
    assert "Connection refused" in err


def test_a_broker_that_does_not_answer_is_not_one_without_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.status.CONNECT_S", 0.2)
    with StubBroker("mute") as broker, pytest.raises(BrokerError, match=f"{broker.url} does not answer"):
        command.main(["--url", broker.url], standalone_mode=False)
