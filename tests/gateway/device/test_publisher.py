"""From the outbox to the broker: real ones, and one that acknowledges only when it is told to."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from boards.options import parse_options
from gateway.account import IntervalSet
from gateway.device.kept import Kept
from gateway.device.outbox import Outbox, OutboxSettings, Record
from gateway.device.publisher import AGAIN_WINDOW, Publisher, Retained
from gateway.mqtt import Will
from gateway.mqtt_settings import MqttSettings
from tests.faults.proxy import FaultProxy, Faults
from tests.gateway.device.outboxes import FRAMES, batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.stub_broker import StubBroker
from tests.support.waiting import wait_until

WINDOW = OutboxSettings().window


class Sender:
    """A publisher with an outbox of its own, in memory unless there is a directory."""

    def __init__(self, url: str, directory: Path | None = None, **mqtt: Any) -> None:
        self.outbox = Outbox(OutboxSettings(directory=directory))
        self.outbox.start()
        self.kept = Kept(1 << 20)
        self.connected = 0
        self.status = "online"
        self.content_type = "application/cbor"
        self.requests: list[tuple[str, bytes]] = []
        self.publisher = Publisher(
            parse_options(MqttSettings, {"url": url, **mqtt}, "test"),
            self.outbox,
            self.kept,
            client_id="sender",
            batch_topic=lambda stream: f"t/{stream}/batch",
            content_type=self._content_type,
            retained=Retained(
                status=lambda: ("t/status", self.status.encode()),
                death=Will("t/status", b"lost"),
                others={"t/meta": b"meta"},
            ),
            request_filter="t/request/+",
            on_request=lambda topic, payload: self.requests.append((topic, payload)),
            on_connected=self._on_connected,
        )

    def _content_type(self, codec: str) -> str:
        return {"cbor": self.content_type}[codec]

    def _on_connected(self) -> None:
        self.connected += 1

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.outbox.put(batch(number))

    def wait_until_sent(self) -> None:
        wait_until(lambda: self.outbox.counters().records == 0, "an empty outbox")


@contextmanager
def sender_to(url: str, directory: Path | None = None, **mqtt: Any) -> Iterator[Sender]:
    sender = Sender(url, directory, **mqtt)
    sender.publisher.start()
    try:
        yield sender
    finally:
        sender.status = "stopped"
        sender.publisher.stop(0)
        sender.outbox.close()


def batches(broker: StubBroker) -> list[int]:
    """The numbers of the batches that came, in order."""
    return [
        int(p.payload.split(b":")[0].rsplit(b"/")[-1]) // FRAMES
        for p in broker.published
        if p.topic == "t/ecg/batch"
    ]


def test_everything_goes_in_order_with_its_type_and_is_kept_for_a_while(mosquitto: Mosquitto) -> None:
    with Peer(mosquitto.port, "t/ecg/batch") as peer, sender_to(mosquitto.url) as sender:
        sender.put(*range(300))
        sender.wait_until_sent()
        heard = peer.wait_for(300)
    assert [message.payload for message in heard] == [batch(number).payload for number in range(300)]
    assert {message.content_type for message in heard} == {"application/cbor"}
    found, gone = sender.kept.find("ecg", 1, IntervalSet([(0, 300 * FRAMES)]))
    assert (len(found), gone) == (300, [])


def test_status_and_metas_are_announced_at_each_connection_before_all_else(mosquitto: Mosquitto) -> None:
    with sender_to(mosquitto.url) as sender:
        wait_until(lambda: sender.connected == 1, "the connection")
        mosquitto.restart()
        wait_until(lambda: sender.connected == 2, "the second connection")
        with Peer(mosquitto.port, "t/status", "t/meta") as peer:
            assert {(m.topic, m.payload, m.retained) for m in peer.wait_for(2)} == {
                ("t/status", b"online", True),
                ("t/meta", b"meta", True),
            }
    assert sender.publisher.connects == 2


def test_a_stop_sends_what_is_left_and_says_goodbye(mosquitto: Mosquitto) -> None:
    sender = Sender(mosquitto.url)
    with Peer(mosquitto.port, "t/ecg/batch") as peer:
        sender.publisher.start()
        wait_until(lambda: sender.connected, "the connection")
        sender.put(*range(2 * WINDOW))
        sender.status = "stopped"
        assert sender.publisher.stop(20)
        peer.wait_for(2 * WINDOW)
    with Peer(mosquitto.port, "t/status") as peer:
        assert peer.wait_for(1)[0].payload == b"stopped"
    sender.outbox.close()


def test_a_stop_without_a_broker_is_prompt_and_keeps_everything(tmp_path: Path) -> None:
    with sender_to("mqtt://127.0.0.1:1", tmp_path) as sender:
        sender.put(*range(10))
        assert not sender.publisher.stop(60)
    again = Outbox(OutboxSettings(directory=tmp_path))
    again.step()
    assert again.counters().disk_records == 10
    again.close()


@pytest.mark.parametrize("allowed", [1, 7, 1000])
def test_no_more_is_in_flight_than_the_broker_and_we_allow(allowed: int) -> None:
    with StubBroker(receive_maximum=allowed) as broker, sender_to(broker.url) as sender:
        sender.put(*range(3 * WINDOW))
        for _ in range(3 * WINDOW + 2):
            wait_until(lambda: broker.unacknowledged, "a message")
            assert broker.unacknowledged <= min(allowed, WINDOW + 2)
            assert sender.outbox.counters().in_flight <= min(allowed, WINDOW)
            broker.acknowledge()
        sender.wait_until_sent()
        assert batches(broker) == list(range(3 * WINDOW))


def test_only_what_was_acknowledged_is_forgotten() -> None:
    with StubBroker() as broker, sender_to(broker.url) as sender:
        sender.put(*range(10))
        wait_until(lambda: broker.unacknowledged == 12, "status, meta and batches")
        broker.acknowledge(2 + 4)
        wait_until(lambda: sender.outbox.counters().records == 6, "four acknowledgements")
        broker.hang_up()
        wait_until(lambda: sender.connected == 2, "the second connection")
        wait_until(lambda: len(batches(broker)) == 16, "the rest once more")
        assert batches(broker)[10:] == list(range(4, 10))
        wait_until(lambda: broker.unacknowledged == 8, "status, meta and batches")
        broker.acknowledge(8)
        sender.wait_until_sent()


def test_a_connection_that_breaks_again_and_again_costs_nothing(mosquitto: Mosquitto) -> None:
    with FaultProxy(mosquitto.port) as proxy, Peer(mosquitto.port, "t/ecg/batch") as peer:
        proxy.faults = Faults(slice_bytes=200)
        with sender_to(f"mqtt://127.0.0.1:{proxy.port}") as sender:
            for number in range(20):
                wait_until(lambda number=number: sender.connected > number, "a connection")  # type: ignore[misc]
                sender.put(*range(number * 10, number * 10 + 10))
                proxy.reset() if number % 2 else proxy.cut()
            sender.wait_until_sent()
            wait_until(lambda: len({m.payload for m in peer.heard}) == 200, "every batch")


def test_what_the_broker_rejects_is_kept_and_goes_when_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.device.publisher.REJECTED_S", 0.3)
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite t/status\ntopic readwrite t/meta\n")
    with Mosquitto(tmp_path, settings={"acl_file": str(acl)}) as broker, sender_to(broker.url) as sender:
        sender.put(*range(100))
        wait_until(lambda: sender.publisher.rejection, "the rejection")
        assert (
            "broker: rejects t/ecg/batch: Not authorized; may this device write under its own name" in caplog.text
        )
        assert sender.publisher.rejection == "Not authorized"
        assert sender.outbox.counters().records == 100
        acl.write_text("topic readwrite t/#\n")
        os.kill(broker.pid, signal.SIGHUP)
        with Peer(broker.port, "t/ecg/batch") as peer:
            sender.wait_until_sent()
            assert {m.payload for m in peer.heard} <= {batch(number).payload for number in range(100)}
        wait_until(lambda: sender.publisher.rejection is None, "the end of the rejection")
        assert sender.publisher.connects == 1


def test_a_stop_does_not_wait_for_a_broker_that_rejects(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic readwrite t/status\n")
    with (
        Mosquitto(tmp_path, settings={"acl_file": str(tmp_path / "acl")}) as broker,
        sender_to(broker.url) as sender,
    ):
        sender.put(0)
        wait_until(lambda: sender.publisher.rejection, "the rejection")
        assert not sender.publisher.stop(10_000)


def test_what_is_sent_again_has_a_window_of_its_own() -> None:
    with StubBroker() as broker, sender_to(broker.url) as sender:
        wait_until(lambda: broker.unacknowledged == 2, "status and meta")
        broker.acknowledge(2)
        sent = [sender.publisher.send_again(batch(number)) for number in range(AGAIN_WINDOW)]
        assert all(sent)
        assert not sender.publisher.send_again(batch(99)), "there is no room, and no answer"
        sender.put(50)
        wait_until(lambda: batches(broker) == [*range(AGAIN_WINDOW), 50], "live data beside it")
        broker.acknowledge(AGAIN_WINDOW)
        assert sender.publisher.send_again(batch(99))
        wait_until(lambda: batches(broker)[-1] == 99, "it when there is room")
        assert sender.outbox.counters().records == 1, "what is sent again is not the outbox's"


def test_nothing_is_sent_again_without_a_connection() -> None:
    sender = Sender("mqtt://127.0.0.1:1")
    assert not sender.publisher.send_again(batch(0))
    sender.outbox.close()


def test_json_is_published_only_with_a_connection(mosquitto: Mosquitto) -> None:
    with Peer(mosquitto.port, "t/health") as peer, sender_to(mosquitto.url) as sender:
        wait_until(lambda: sender.connected, "the connection")
        assert sender.publisher.publish_json("t/health", {"cpu": 1.5})
        assert json.loads(peer.wait_for(1)[0].payload) == {"cpu": 1.5}
        mosquitto.stop()
        wait_until(lambda: sender.publisher.connection.up is None, "the end of the connection")
        assert not sender.publisher.publish_json("t/health", {})


def test_requests_are_handed_over(mosquitto: Mosquitto) -> None:
    with sender_to(mosquitto.url) as sender, Peer(mosquitto.port) as peer:
        wait_until(lambda: sender.connected, "the connection")

        def arrived() -> bool:
            peer.publish("t/request/resend", b"{}")
            return ("t/request/resend", b"{}") in sender.requests

        wait_until(arrived, "the request")


def test_an_error_in_the_thread_is_told_and_loses_nothing(mosquitto: Mosquitto) -> None:
    with sender_to(mosquitto.url) as sender:
        sender.outbox.put(Record("ecg", 1, 0, 1, b"", codec="unheard of"))
        wait_until(lambda: sender.publisher.failure, "the failure")
        assert isinstance(sender.publisher.failure, KeyError)
        assert sender.outbox.counters().records == 1
        assert not sender.publisher.stop(10_000)
