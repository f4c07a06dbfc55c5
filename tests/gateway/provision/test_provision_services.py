"""The real device, relay and reader, each with what `headwater provision` made for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import urllib.request
from pathlib import Path
from typing import Any

import cbor2

from tests.gateway.provision.conftest import Join
from tests.support.ports import accepts, free_port
from tests.support.processes import HeadwaterProcess
from tests.support.secure import Provisioned, SecureMosquitto
from tests.support.waiting import wait_until

DEVICE = """
[device]
name = "{name}"
health = "1s"
[[stream]]
name = "ecg"
rate = 500
[[stream.channel]]
name = "lead"
input = "P9_39"
"""
BATCH, STATUS, REQUEST = (
    "headwater/bbb1/stream/ecg/batch",
    "headwater/bbb1/status",
    "headwater/bbb1/request/resend",
)


def device(provisioned: Provisioned, folder: Path, name: str = "bbb1") -> HeadwaterProcess:
    """`headwater run` with the table [mqtt] that was provisioned for bbb1."""
    config = folder / "device.toml"
    table = (provisioned.path / "devices" / "bbb1" / "mqtt.toml").read_text()
    config.write_text(table + DEVICE.format(name=name))
    return HeadwaterProcess("run", str(config), state=folder)


def relay(provisioned: Provisioned, folder: Path) -> tuple[HeadwaterProcess, int]:
    """`headwater relay` with its own, and where it listens."""
    config, port = folder / "relay.toml", free_port()
    table = (provisioned.path / "relays" / "relay1" / "mqtt.toml").read_text()
    config.write_text(f'{table}keepalive = 2\n[relay]\nlisten = "127.0.0.1:{port}"\n')
    process = HeadwaterProcess("relay", str(config), state=folder)
    wait_until(lambda: accepts(port), "the relay")
    return process, port


def streams(port: int) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/streams", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["streams"]
        return found


def statuses(heard: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    return [json.loads(payload) for topic, payload in heard if topic == STATUS]


def test_a_reader_receives_what_a_device_sends(
    broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path
) -> None:
    config = str(provisioned.path / "readers" / "anna" / "mqtt.toml")
    with device(provisioned, tmp_path) as sampling:
        sampling.wait_for("connected")
        with (
            HeadwaterProcess("sub", "bbb1/ecg", "--config", config, "--count", "100", state=tmp_path) as sub,
            HeadwaterProcess("audit", "bbb1/ecg", "--config", config, "--duration", "1", state=tmp_path) as audit,
        ):
            assert sub.wait() == 0, sub
            assert len(sub.out.splitlines()) >= 101
            assert audit.wait() == 0, audit
        with HeadwaterProcess("status", "--config", config, state=tmp_path) as status:
            assert status.wait() == 0, status
            assert "bbb1: online" in status.out
        assert sampling.terminate() == 0
        assert "rejects" not in sampling.err


def test_everything_that_device_and_relay_do_is_allowed(
    broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path
) -> None:
    running, port = relay(provisioned, tmp_path)
    with running, device(provisioned, tmp_path) as sampling:
        wait_until(lambda: streams(port) and streams(port)[0]["delivered"] > 500, "samples")
        wait_until(lambda: "stream/ecg/latest" in broker.log and "bbb1/health" in broker.log, "latest and health")
        assert streams(port)[0]["online"]
        assert sampling.terminate() == 0
        wait_until(lambda: not streams(port)[0]["online"], "the goodbye")
    assert "Denied" not in broker.log


def test_what_is_asked_for_is_sent_again(
    broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path, join: Join
) -> None:
    asking = join("relays/relay1", BATCH, STATUS)
    with device(provisioned, tmp_path):
        asking.wait_for(BATCH)
        first = next(payload for topic, payload in asking.heard if topic == BATCH)
        content = cbor2.loads(first)
        ranges = [[content["i"], content["i"] + 1]]
        asking.publish(REQUEST, json.dumps({"stream": "ecg", "epoch": content["e"], "ranges": ranges}).encode())
        wait_until(lambda: asking.heard.count((BATCH, first)) == 2, "the same batch again")


def test_a_relay_that_is_away_while_the_broker_reloads_is_made_whole(
    broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path
) -> None:
    """Mosquitto then queues nothing for it until it is back: it asks for what it has missed."""
    running, port = relay(provisioned, tmp_path)
    with running, device(provisioned, tmp_path):
        wait_until(lambda: streams(port) and streams(port)[0]["delivered"] > 100, "samples")
        running.send(signal.SIGSTOP)
        client = next(word for word in broker.log.split() if word.startswith("headwater-relay-"))
        wait_until(lambda: f"Client {client} has exceeded timeout" in broker.log, "the end of its connection")
        provisioned.add("reader", "late")
        broker.reload()
        published = "Received PUBLISH from headwater-bbb1"
        before = broker.log.count(published)
        wait_until(lambda: broker.log.count(published) > before + 20, "what it will have missed")
        running.send(signal.SIGCONT)
        wait_until(lambda: "Received PUBLISH from headwater-relay" in broker.log, "its request")
        wait_until(lambda: streams(port)[0]["holes"] == [] and streams(port)[0]["lost"] == {}, "all of it")


def test_the_death_of_a_device_is_told_and_retained(
    broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path, join: Join
) -> None:
    reader = join("readers/anna", STATUS)
    with device(provisioned, tmp_path) as sampling:
        reader.wait_for(STATUS)
        os.kill(sampling.pid, signal.SIGKILL)
        wait_until(lambda: not statuses(reader.heard)[-1]["online"], "the last will")
    late = join("readers/anna", STATUS)
    assert statuses(late.wait_for(STATUS))[-1]["reason"] == "connection lost"


def test_a_device_that_calls_itself_otherwise_than_its_certificate_is_told(
    broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path, join: Join
) -> None:
    relay1 = join("relays/relay1", "headwater/#")
    with device(provisioned, tmp_path, "bbb2") as sampling:
        sampling.wait_for("broker: rejects headwater/bbb2/stream/ecg/batch: Not authorized; may this device")
        assert sampling.terminate() == 0
        assert "unsent; they are kept" in sampling.err
    join("devices/bbb1").publish(STATUS, b"{}")
    assert relay1.wait_for(STATUS) == [(STATUS, b"{}")]


def test_who_is_not_let_in_is_told_what_to_look_at(
    broker: SecureMosquitto, provisioned: Provisioned, tmp_path: Path
) -> None:
    bundle = provisioned.add("device", "stolen")
    table = (bundle / "mqtt.toml").read_text().replace(str(bundle), str(tmp_path / "stolen"))
    shutil.copytree(bundle, tmp_path / "stolen")
    provisioned.revoke("stolen")
    broker.reload()
    config = tmp_path / "stolen.toml"
    config.write_text(table + DEVICE.format(name="stolen"))
    with (
        HeadwaterProcess("run", str(config), state=tmp_path) as run,
        HeadwaterProcess("sub", "bbb1/ecg", "--config", str(config), state=tmp_path) as sub,
    ):
        assert sub.wait() == 2
        run.wait_for("trying again")
        for said in (run.err, sub.err):
            assert f"127.0.0.1:{broker.port}: the broker hung up" in said
            assert "is this one ended, revoked, or of another authority?" in said
