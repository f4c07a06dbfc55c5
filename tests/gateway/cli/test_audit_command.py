"""`headwater audit` as a person or a script calls it, with real devices and with ones made by hand."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.handmade import HandmadeDevice
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until

REQUESTS = "headwater/bbb1/request/resend"

DEVICE = """
[device]
name = "bbb1"
[mqtt]
url = "{url}"
[[stream]]
name = "ecg"
rate = 500
[[stream.channel]]
name = "lead"
input = "P9_39"
"""


class Audited:
    """An audit that runs, and the device that it looks at."""

    def __init__(self, process: HeadwaterProcess, peer: Peer) -> None:
        self.process = process
        self.peer = peer
        self.device = HandmadeDevice(peer)

    def end(self) -> tuple[int, dict[str, Any]]:
        """Exit code, and the report of epoch 2."""
        code = self.process.wait()
        return code, json.loads(self.process.out)["epochs"]["2"]


@contextmanager
def audit(broker: Mosquitto, folder: Path, *arguments: str, settle: float = 20) -> Iterator[Audited]:
    """An audit that was there before epoch 2 began, and goes on until the device says goodbye."""
    options = ("--url", broker.url, "--until-stopped", "--settle", str(settle), *arguments)
    with (
        Peer(broker.port, REQUESTS) as peer,
        HeadwaterProcess("audit", "bbb1/ecg", *options, state=folder) as process,
    ):
        wait_until(
            lambda: broker.log.count("Sending SUBACK to headwater-audit") == 3, f"the subscriptions of {process}"
        )
        audited = Audited(process, peer)
        audited.device.status(1)
        audited.device.status(2)
        yield audited


def test_a_stream_without_a_hole_ends_with_0(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with audit(mosquitto, tmp_path, "--json") as audited:
        for start in range(0, 100, 10):
            audited.device.batch(2, start, start + 10)
        audited.device.goodbye(2, 100)
        code, account = audited.end()
    assert code == 0
    assert (account["delivered"], account["undeclared"], account["lost"]) == (100, 0, {})
    assert account["time_jumps"] == 0


def test_what_is_declared_lost_is_no_hole(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with audit(mosquitto, tmp_path, "--json") as audited:
        audited.device.batch(2, 0, 10)
        audited.device.gap(2, 10, 17, "late")
        audited.device.gap(2, 17, 20, "overrun")
        audited.device.goodbye(2, 20)
        code, account = audited.end()
    assert code == 0
    assert account["lost"] == {"late": 7, "overrun": 3}


@pytest.mark.parametrize("kind", ["in the middle", "at the beginning", "at the end"])
def test_a_hole_that_nobody_declares_ends_with_1(mosquitto: Mosquitto, tmp_path: Path, kind: str) -> None:
    with audit(mosquitto, tmp_path, "--json", settle=0.5) as audited:
        if kind != "at the beginning":
            audited.device.batch(2, 0, 10)
        if kind != "at the end":
            audited.device.batch(2, 15, 20)
        audited.device.goodbye(2, 20)
        code, account = audited.end()
    assert code == 1
    hole = {"in the middle": [10, 15], "at the beginning": [0, 15], "at the end": [10, 20]}[kind]
    assert account["holes"] == [hole]
    assert account["undeclared"] == hole[1] - hole[0]


def test_what_cannot_be_decoded_was_not_delivered(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with audit(mosquitto, tmp_path, "--json", settle=0.5) as audited:
        audited.device.batch(2, 0, 10)
        audited.device.raw(b"\xff\x00 nothing that anybody sent")
        audited.device.batch(2, 20, 30)
        audited.device.goodbye(2, 30)
        code, account = audited.end()
    assert (code, account["undeclared"]) == (1, 10)


def test_duplicates_are_told_and_do_no_harm(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with audit(mosquitto, tmp_path) as audited:
        for start in (0, 10, 0, 20, 10):
            audited.device.batch(2, start, start + 10)
        audited.device.goodbye(2, 30)
        assert audited.process.wait() == 0
        lines = audited.process.out.splitlines()
    assert lines[0] == "bbb1/ecg epoch 2"
    table = {name.strip(): value for name, value in (line.rsplit(maxsplit=1) for line in lines[1:-1])}
    assert table["delivered"] == "30"
    assert table["came twice"] == "20"
    assert table["undeclared"] == "0"


def test_a_hole_is_asked_for_and_may_be_filled_out_of_order(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with audit(mosquitto, tmp_path, "--json") as audited:
        audited.device.batch(2, 0, 10)
        audited.device.batch(2, 20, 30)
        (request, *_) = audited.peer.wait_for(1)
        assert json.loads(request.payload) == {"stream": "ecg", "epoch": 2, "ranges": [[10, 20]]}
        audited.device.batch(2, 10, 20)
        audited.device.goodbye(2, 30)
        code, account = audited.end()
    assert code == 0
    assert (account["delivered"], account["out_of_order"]) == (30, 1)


def test_the_next_birth_declares_what_a_crash_has_cost(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with audit(mosquitto, tmp_path, "--json") as audited:
        audited.device.batch(2, 0, 10)
        told = {"stream": "ecg", "epoch": 2, "reached": 50, "backlog": [[20, 30]]}
        audited.device.status(3, previous=[told])
        audited.device.batch(2, 20, 30)
        audited.device.batch(3, 0, 10)
        audited.device.status(3, previous=[told], online=False, reason="stopped", acquired={"ecg": 10})
        code, account = audited.end()
    assert code == 0
    assert (account["delivered"], account["lost"]) == (20, {"crash": 30})


def test_a_real_device_that_is_stopped_has_delivered_all(mosquitto: Mosquitto, tmp_path: Path) -> None:
    config = tmp_path / "device.toml"
    config.write_text(DEVICE.format(url=mosquitto.url))
    arguments = ("audit", "bbb1/ecg", "--url", mosquitto.url, "--json")
    with HeadwaterProcess("run", str(config), state=tmp_path) as device:
        device.wait_for("connected")
        with (
            HeadwaterProcess(*arguments, "--duration", "1", state=tmp_path) as short,
            HeadwaterProcess(*arguments, "--until-stopped", state=tmp_path) as whole,
        ):
            assert short.wait() == 0, short
            assert device.terminate() == 0
            assert whole.wait() == 0, whole
            (account,) = json.loads(whole.out)["epochs"].values()
    assert account["since"] + account["delivered"] == account["end"] == account["acquired"]


def test_sigterm_ends_it_with_the_report(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with audit(mosquitto, tmp_path, "--json", settle=0) as audited:
        audited.device.batch(2, 0, 10)
        audited.device.batch(2, 20, 30)
        audited.peer.wait_for(1)  # it asks, so it has them
        audited.process.send(signal.SIGTERM)
        code, account = audited.end()
    assert (code, account["delivered"], account["undeclared"]) == (1, 20, 10)


def failure(folder: Path, *arguments: str) -> str:
    """What it says when it ends with 2."""
    with HeadwaterProcess("audit", *arguments, state=folder) as process:
        assert process.wait() == 2, process
        return process.err


def test_a_stream_of_which_nothing_came_ends_with_2(mosquitto: Mosquitto, tmp_path: Path) -> None:
    said = failure(tmp_path, "bbb1/egc", "--url", mosquitto.url, "--duration", "0.5")
    assert said == f"headwater: nothing came of bbb1/egc from {mosquitto.url} below 'headwater'\n"


def test_without_a_broker_it_ends_with_2(tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    assert "Connection refused" in failure(tmp_path, "bbb1/ecg", "--url", url)


@pytest.mark.parametrize("stream", ["ecg", "bbb1/", "a/b/c", "+/ecg"])
def test_what_is_no_stream_is_refused_with_2(tmp_path: Path, stream: str) -> None:
    assert failure(tmp_path, stream).startswith("headwater: ")


def test_a_relay_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    relay = f"http://127.0.0.1:{free_port()}"
    with HeadwaterProcess("audit", "bbb1/ecg", "--relay", relay, state=tmp_path) as process:
        assert process.wait() == 2
        assert process.err == f"headwater: {relay}: cannot be reached: [Errno 111] Connection refused\n"
