"""Whatever happens to relay, broker, network and device: its history accounts for every frame in the end."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.faults.proxy import FaultProxy, Faults
from tests.support.mosquitto import Mosquitto
from tests.support.ports import accepts, free_port
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

DEVICE = """
[device]
name = "bbb1"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
[[stream]]
name = "ecg"
rate = 500
batch = "50ms"
[[stream.channel]]
name = "lead_i"
input = "P9_39"
"""
ROUNDS = int(os.environ.get("HEADWATER_ROUNDS", "1"))


class Chain:
    """A device behind a fault proxy, a broker, and a relay with a history on disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self.broker = Mosquitto(directory)
        self.port = free_port()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.broker)
        self.uplink = self._stack.enter_context(FaultProxy(self.broker.port, seed=1))
        self.start_relay()
        config = self._directory / "device.toml"
        config.write_text(DEVICE.format(port=self.uplink.port), encoding="utf-8")
        self.start_device()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start_relay(self) -> None:
        settings = (
            f"mqtt.url={self.broker.url}",
            f"relay.listen=127.0.0.1:{self.port}",
            "history.memory_bytes=50000",
        )
        options = [option for setting in settings for option in ("--set", setting)]
        self.relay = self._run("relay", *options)
        wait_until(lambda: accepts(self.port), f"the relay: {self.relay}")

    def start_device(self) -> None:
        self.device = self._run("-v", "run", str(self._directory / "device.toml"))
        self.device.wait_for("sampling")

    def frames(self) -> int:
        """How many frames the history holds."""
        report = self.audit()[1]
        return sum(account["end"] for account in report.get("epochs", {}).values())

    def audit(self) -> tuple[int, dict[str, Any]]:
        """What `headwater audit` says of the history: its exit code and its report."""
        options = ("bbb1/ecg", "--relay", f"http://127.0.0.1:{self.port}", "--json")
        with HeadwaterProcess("audit", *options, state=self._directory) as audit:
            code = audit.wait()
            return code, json.loads(audit.out) if code in (0, 1) else {}

    def take_more(self) -> None:
        """Wait until the history holds half a second more."""
        had = self.frames()
        wait_until(lambda: self.frames() > had + 250, f"frames: {self.relay}")

    def whole(self) -> dict[str, Any] | None:
        """The audit's report once nothing is undeclared."""
        code, report = self.audit()
        return report if code == 0 else None

    def _run(self, *arguments: str) -> HeadwaterProcess:
        return self._stack.enter_context(HeadwaterProcess(*arguments, state=self._directory))


def kill_relay(chain: Chain) -> None:
    chain.relay.kill()
    chain.start_relay()


def restart_relay(chain: Chain) -> None:
    assert chain.relay.terminate() == 0
    chain.start_relay()


def kill_broker(chain: Chain) -> None:
    chain.broker.kill()
    chain.broker.start()


def hold_the_device_off(chain: Chain) -> None:
    """Long enough for a backlog, which comes beside live data."""
    lost = chain.device.err.count("connection lost")
    chain.uplink.faults = Faults(refuse=True)
    chain.uplink.cut()
    wait_until(lambda: chain.device.err.count("connection lost") > lost, "the device to notice")
    chain.uplink.heal()


def kill_device(chain: Chain) -> None:
    chain.device.kill()
    chain.start_device()


FAULTS: tuple[Callable[[Chain], None], ...] = (
    kill_relay,
    kill_broker,
    hold_the_device_off,
    restart_relay,
    kill_device,
)


def test_relay_broker_network_and_device_fail_and_the_history_is_complete(tmp_path: Path) -> None:
    with Chain(tmp_path) as chain:
        for fault in itertools.chain.from_iterable(itertools.repeat(FAULTS, ROUNDS)):
            chain.take_more()
            fault(chain)
        assert chain.device.terminate() == 0
        report = wait_until(chain.whole, f"a history without holes: {chain.relay}", 90)
        assert report is not None
        assert len(report["epochs"]) == 1 + ROUNDS
        for account in report["epochs"].values():
            assert (account["since"], account["undeclared"], account["duplicates"]) == (0, 0, 0)
            assert set(account["lost"]) <= {"crash"}
        assert report["epochs"][max(report["epochs"])]["lost"] == {}, "the device said goodbye"
        assert chain.relay.terminate() == 0
