"""What the relay logs of its clients: in words, as fields, and not a thousand lines of it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.codec import CODECS
from gateway.relay.auth import make_token
from gateway.relay.journal import MOST_PER_S, Journal
from gateway.topics import Topics
from tests.gateway.relay.crew import Crew, local_port
from tests.gateway.relay.tcp_yard import STREAM, TcpYard
from tests.support.messages import batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.waiting import eventually

SECRET = "0123456789abcdef0123456789abcdef"


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    """The records of one event."""
    return [record for record in caplog.records if getattr(record, "event", None) == name]


def client(number: int) -> dict[str, Any]:
    return {"client": number, "outlet": "http", "address": "127.0.0.1:1"}


def come_and_go(journal: Journal, count: int, reason: str, lost_frames: int = 0) -> None:
    for number in range(count):
        journal.connected(client(number))
        gone = {**client(number), "stream": STREAM}
        journal.disconnected(gone, reason=reason, seconds=1.0, lost_frames=lost_frames)


@pytest.mark.parametrize("reason", ["left", "lost", "restart"])
def test_a_thousand_clients_that_come_and_go_are_not_worth_a_line(
    caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    caplog.set_level(logging.INFO)
    come_and_go(Journal(), 1000, reason)
    assert not caplog.records


@pytest.mark.parametrize(("reason", "lost_frames"), [("slow", 0), ("left", 5)])
def test_a_thousand_that_went_wrong_are_worth_a_few(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, reason: str, lost_frames: int
) -> None:
    caplog.set_level(logging.INFO)
    now = 100.0
    monkeypatch.setattr("gateway.relay.journal.time.monotonic", lambda: now)
    journal = Journal()
    come_and_go(journal, 1000, reason, lost_frames)
    for _ in range(1000):
        journal.refused("http", "127.0.0.1", "no key fits the token")
    assert len(caplog.records) == 2 * MOST_PER_S
    now = 101.0
    come_and_go(journal, 1, reason, lost_frames)
    assert caplog.messages[-1].endswith(f"{reason} (and {1000 - MOST_PER_S} others before)")


async def test_of_a_client_that_goes_is_said_what_it_was_and_why_it_went(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with TcpYard() as yard:
        leaving, reset, expiring = [await yard.connect() for _ in range(3)]
        await yard.has(3)
        addresses = ["{}:{}".format(*c.writer.get_extra_info("sockname")) for c in (leaving, reset, expiring)]
        yard.clients[2].end("expired")
        assert (await expiring.error())["code"] == "expired"
        reset.reset()
        await yard.has(1)
        leaving.writer.close()
        leaving.reset()
        await yard.has(0)
    assert [record.__dict__["address"] for record in events(caplog, "client_connected")] == addresses
    ends = {record.__dict__["address"]: record for record in events(caplog, "client_disconnected")}
    assert [ends[address].__dict__["reason"] for address in addresses[1:]] == ["lost", "expired"]
    assert [ends[address].levelname for address in addresses[1:]] == ["DEBUG", "INFO"]
    fields = ends[addresses[2]].__dict__
    assert (fields["outlet"], fields["stream"], fields["lost_frames"]) == ("tcp", STREAM, 0)
    assert 0 <= fields["seconds"] < 20


async def test_too_many_connections_are_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    async with TcpYard(connections_per_address=1) as yard:
        held = await yard.connect()
        await held.next()
        for _ in range(5):
            await (await yard.connect()).error()
        yard.core.journal.turned_away(yard.core.gate.refused)
        yard.core.journal.turned_away(yard.core.gate.refused)
        held.reset()
    (told,) = events(caplog, "connections_refused")
    assert (told.levelname, told.__dict__["count"]) == ("WARNING", 5)


async def test_in_json_every_line_of_every_worker_is_an_object_with_its_fields(
    tmp_path: Path, mosquitto: Mosquitto, device: Peer
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    environment = {"HEADWATER_LOG_FORMAT": "json"}
    overrides = (f"auth.secret_file={secret}", "relay.queue=64KiB")
    async with Crew(tmp_path, mosquitto.url, *overrides, environment=environment) as crew:
        await crew.connected()

        def said(event: str) -> list[dict[str, Any]]:
            lines = crew.process.err.splitlines(keepends=True)
            entries = [json.loads(line) for line in lines if line.endswith("\n")]
            return [entry for entry in entries if entry.get("event") == event]

        assert {entry["worker"] for entry in said("listening")} == {0, 1}
        up = said("broker_up")
        assert {(entry["worker"], entry["broker"]) for entry in up} == {
            (worker, f"127.0.0.1:{mosquitto.port}") for worker in (0, 1)
        }
        assert {"ts", "level", "logger", "message", "protocol"} <= up[0].keys()

        crew.session.headers["Authorization"] = "Bearer nonsense"
        async with crew.session.get(crew.url + "/api/v1/streams") as response:
            assert response.status == 401
        await eventually(lambda: said("login_refused"), "the refusal")
        assert said("login_refused")[0]["address"] == "127.0.0.1"
        assert "nonsense" not in crew.process.err

        token = make_token(SECRET.encode(), ["*/*"], 60, subject="", admin=False)
        crew.session.headers["Authorization"] = f"Bearer {token}"
        viewer = await crew.watch(f"{STREAM}&policy=disconnect")
        address = f"127.0.0.1:{local_port(viewer)}"
        index = 0
        while not said("client_disconnected"):
            payload = CODECS["cbor"].encode(batch(index, 16384))
            await asyncio.to_thread(device.publish, Topics().batch("bbb1", "ecg"), payload)
            index += 16384
        (end,) = said("client_disconnected")
        assert (end["address"], end["outlet"], end["stream"]) == (address, "websocket", STREAM)
        assert (end["reason"], end["level"]) == ("slow", "INFO")
        assert end["seconds"] > 0

        crew.process.send(signal.SIGHUP)
        await eventually(lambda: len(said("reload")) == 2, "the reload of both")
        assert await asyncio.to_thread(crew.process.terminate) == 0
        assert len(said("stopping")) == 2
        assert all(json.loads(line) for line in crew.process.err.splitlines())
