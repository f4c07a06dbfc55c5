"""The relay as a service: what it tells systemd, in a real process over a real socket."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import RelayConfig, load_mapping
from gateway.relay import ingest
from gateway.relay.core import Core
from gateway.relay.serving import serve
from gateway.systemd import Notifier
from tests.support.mosquitto import Mosquitto
from tests.support.notifications import Notifications
from tests.support.ports import accepts, free_port
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import eventually

WATCHDOG_S = 0.6


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Notifications]:
    with Notifications(tmp_path / "notify") as listener:
        yield listener


def relay(manager: Notifications, state: Path, port: int, broker: str) -> HeadwaterProcess:
    settings = ("--set", f"mqtt.url={broker}", "--set", f"relay.listen=127.0.0.1:{port}")
    return HeadwaterProcess("relay", *settings, state=state, environment=manager.environment(WATCHDOG_S))


def test_a_service_is_ready_once_it_listens_and_says_when_it_stops(
    tmp_path: Path, manager: Notifications, mosquitto: Mosquitto
) -> None:
    port = free_port()
    with relay(manager, tmp_path, port, mosquitto.url) as process:
        assert manager.next() == "READY=1"
        assert accepts(port)
        manager.wait_for("STATUS=1 of 1 brokers, 0 subscribers")
        mosquitto.stop()
        manager.wait_for("STATUS=0 of 1 brokers, 0 subscribers")
        assert process.terminate() == 0
        assert manager.forget()[-1] == "STOPPING=1"


def test_a_reload_has_a_beginning_and_an_end(tmp_path: Path, manager: Notifications, mosquitto: Mosquitto) -> None:
    with relay(manager, tmp_path, free_port(), mosquitto.url) as process:
        manager.wait_for("READY=1")
        for _ in range(2):
            process.send(signal.SIGHUP)
            manager.wait_for("RELOADING=1\nMONOTONIC_USEC=")
            assert all(said.startswith(("WATCHDOG", "STATUS")) for said in manager.wait_for("READY=1"))
        assert process.err.count("are read anew") == 2


def test_the_watchdog_is_fed_in_time_with_and_without_a_broker(tmp_path: Path, manager: Notifications) -> None:
    with relay(manager, tmp_path, free_port(), f"mqtt://127.0.0.1:{free_port()}"):
        manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1")
        began = time.monotonic()
        for _ in range(10):
            manager.wait_for("WATCHDOG=1")
        assert time.monotonic() - began >= 10 * WATCHDOG_S / 2 * 0.9, "no more often than it has to be"
        assert time.monotonic() - began < 10 * WATCHDOG_S


class Heard(Notifier):
    """Remembers what was said, and when."""

    def __init__(self) -> None:
        super().__init__({"WATCHDOG_USEC": "20000"})
        self.said: list[tuple[float, str]] = []

    def send(self, message: str) -> None:
        self.said.append((time.monotonic(), message))

    def alive_since(self, moment: float) -> bool:
        """Whether the watchdog was fed after it."""
        return any(said == "WATCHDOG=1" and when > moment for when, said in self.said)


@pytest.fixture
async def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """A relay in this process that says it is alive a hundred times a second."""
    monkeypatch.setattr(ingest, "STALLED_S", 0.3)
    monkeypatch.setattr(ingest, "PERIOD_S", 0.05)
    return Heard()


class Running:
    """A relay that is served here."""

    def __init__(self, heard: Heard) -> None:
        content = {
            "relay": {"listen": f"127.0.0.1:{free_port()}"},
            "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
        }
        self._stopping = asyncio.Event()
        config = load_mapping(RelayConfig, content, "test")
        self._task = asyncio.create_task(serve(config, heard, self._stopping))

    async def __aenter__(self) -> None:
        await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await self._task


async def silent(heard: Heard) -> None:
    """Wait until the watchdog is not fed any more."""

    def is_silent() -> bool:
        fed = [when for when, said in heard.said if said == "WATCHDOG=1"]
        return bool(fed) and time.monotonic() - fed[-1] > 0.5

    await eventually(is_silent, "silence")


async def test_an_ingest_that_hangs_starves_the_watchdog(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Running(heard):
        await eventually(lambda: heard.alive_since(0), "a sign of life")
        monkeypatch.setattr(ingest, "PERIOD_S", 1000.0)
        await silent(heard)


async def test_a_part_that_has_ended_starves_the_watchdog(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    end = asyncio.Event()

    async def run(_: object) -> None:
        await end.wait()

    monkeypatch.setattr(Core, "run", run)
    async with Running(heard):
        await eventually(lambda: heard.alive_since(0), "a sign of life")
        end.set()
        await silent(heard)


async def test_a_connection_that_nobody_keeps_up_starves_the_watchdog(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Running(heard):
        await eventually(lambda: heard.alive_since(0), "a sign of life")
        monkeypatch.setattr("gateway.mqtt.Connection.kept_up", False)
        await silent(heard)


async def test_a_loop_that_stands_still_feeds_nothing(heard: Heard) -> None:
    async with Running(heard):
        await eventually(lambda: heard.alive_since(0), "a sign of life")
        stood = time.monotonic()
        time.sleep(0.3)  # the loop of the relay is this one
        assert not heard.alive_since(stood)
        await eventually(lambda: heard.alive_since(stood), "a sign of life")
