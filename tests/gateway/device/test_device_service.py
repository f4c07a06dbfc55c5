"""The device as a whole, in this process: what the broker sees of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from boards.base import Block, Board, Input, SampleSource, SourceRequest
from boards.registry import BOARDS
from gateway.codec import CODECS
from gateway.config import DeviceConfig, load_mapping
from gateway.device.plan import Plan
from gateway.device.service import DeviceService
from gateway.errors import ConfigError
from gateway.model import Message
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.stub_broker import StubBroker
from tests.support.waiting import wait_until

BATCH = "headwater/bbb1/stream/ecg/batch"
META = "headwater/bbb1/stream/ecg/meta"
LATEST = "headwater/bbb1/stream/ecg/latest"
STATUS = "headwater/bbb1/status"


def config_for(url: str, state: Path, **stream: Any) -> DeviceConfig:
    channel = {"name": "lead_i", "input": "P9_39", "unit": "mV", "scale": 0.001}
    content = {
        "device": {"name": "bbb1", "state": str(state)},
        "mqtt": {"url": url},
        "stream": [{"name": "ecg", "rate": 500, "batch": "20ms", "channel": [channel], **stream}],
    }
    return load_mapping(DeviceConfig, content, "test")


@contextmanager
def running(config: DeviceConfig) -> Iterator[DeviceService]:
    service = DeviceService(Plan(config))
    service.start()
    try:
        yield service
    finally:
        service.stop()


def decoded(payloads: list[bytes], codec: str = "cbor") -> list[Message]:
    return [CODECS[codec].decode(payload) for payload in payloads]


def complete(messages: list[Message]) -> bool:
    """Whether every index from 0 on came, in whatever order, and however often."""
    indices = {index for message in messages for index in range(message.index, message.end)}
    return len(indices) == max(indices, default=-1) + 1 > 0


def test_the_broker_has_status_meta_batches_and_latest(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with Peer(mosquitto.port, "headwater/#") as peer:
        with running(config_for(mosquitto.url, tmp_path)) as service:
            wait_until(lambda: any(heard.topic == LATEST for heard in peer.heard), "latest")
        wait_until(lambda: json.loads(last(peer, STATUS))["online"] is False, "the goodbye")
    content = {topic: [heard for heard in peer.heard if heard.topic == topic] for topic in (STATUS, META, BATCH)}
    first, *_, final = (json.loads(heard.payload) for heard in content[STATUS])
    assert (first["online"], first["epoch"], first["streams"]) == (True, service.epoch, ["ecg"])
    assert first["board"]["name"] == "simulated"
    assert (final["online"], final["reason"]) == (False, "stopped")
    assert json.loads(content[META][0].payload)["channels"] == [
        {"name": "lead_i", "unit": "mV", "scale": 0.001, "offset": 0.0, "input": "P9_39"}
    ]
    assert {heard.content_type for heard in content[BATCH]} == {"application/cbor"}
    assert {heard.content_type for heard in content[STATUS][:1] + content[META]} == {"application/json"}
    messages = decoded([heard.payload for heard in content[BATCH]])
    assert complete(messages)
    assert {message.epoch for message in messages} == {service.epoch}
    assert set(json.loads(last(peer, LATEST))["values"]) == {"lead_i"}


def last(peer: Peer, topic: str) -> bytes:
    return next(heard.payload for heard in reversed(peer.heard) if heard.topic == topic)


def test_a_stream_may_be_json(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with (
        Peer(mosquitto.port, BATCH) as peer,
        running(config_for(mosquitto.url, tmp_path, codec="json")),
    ):
        first = peer.wait_for(5)[0]
    assert first.content_type == "application/json"
    assert json.loads(first.payload)["k"] == "int16"
    assert complete(decoded([heard.payload for heard in peer.heard], "json"))


def test_each_start_is_a_later_epoch_from_index_0_on(mosquitto: Mosquitto, tmp_path: Path) -> None:
    epochs = []
    for _ in range(3):
        with Peer(mosquitto.port, BATCH) as peer, running(config_for(mosquitto.url, tmp_path)) as service:
            first = decoded([peer.wait_for(1)[0].payload])[0]
        assert (first.epoch, first.index) == (service.epoch, 0)
        epochs.append(service.epoch)
    assert epochs == sorted(set(epochs))


def test_what_was_sampled_before_the_broker_came_arrives_from_index_0_on(tmp_path: Path) -> None:
    port = free_port()
    service = DeviceService(Plan(config_for(f"mqtt://127.0.0.1:{port}", tmp_path)))
    service.start()
    wait_until(lambda: service.health()["acquired"]["ecg"] > 100, "samples")
    with StubBroker(port=port) as broker, answering(broker):
        wait_until(lambda: complete(decoded(batches(broker))), "index 0")
        service.stop()
    assert complete(decoded(batches(broker)))


def test_no_more_is_on_its_way_than_the_broker_takes_and_what_is_unanswered_is_sent_again(tmp_path: Path) -> None:
    with StubBroker(receive_maximum=3) as broker:
        service = DeviceService(Plan(config_for(broker.url, tmp_path)))
        service.start()
        wait_until(lambda: any(p.topic == LATEST for p in broker.published), "a second of samples")
        assert broker.unacknowledged == 3
        assert sum(p.qos for p in broker.published) == 3
        broker.hang_up()
        wait_until(lambda: len(broker.connects) == 2 and broker.unacknowledged == 3, "what is sent again")
        with answering(broker):
            wait_until(lambda: len(batches(broker)) > 60, "what waited")
            service.stop()
        assert complete(decoded(batches(broker)))


@contextmanager
def answering(broker: StubBroker) -> Iterator[None]:
    """Acknowledge all that comes, and never see more than the maximum on its way."""
    over, most = threading.Event(), 0

    def answer() -> None:
        nonlocal most
        while not over.wait(0.001):
            waiting = broker.unacknowledged
            most = max(most, waiting)
            broker.acknowledge(waiting)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert most <= broker.receive_maximum


def batches(broker: StubBroker) -> list[bytes]:
    return [publication.payload for publication in broker.published if publication.topic == BATCH]


class Broken(SampleSource):
    """Fails in a way that no driver should."""

    def read(self) -> Block:
        raise ZeroDivisionError("a bug in the driver")


class BrokenBoard(Board):
    name = "broken"
    summary = "fails"

    def inputs(self) -> list[Input]:
        return [Input("P9_39")]

    def open_source(self, request: SourceRequest) -> SampleSource:
        return Broken(request)


def test_a_driver_s_bug_is_the_service_s_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BOARDS, "broken", (BrokenBoard.__module__, "BrokenBoard"))
    config = config_for("mqtt://127.0.0.1:1", tmp_path)
    broken = config.model_copy(update={"device": config.device.model_copy(update={"board": "broken"})})
    with running(broken) as service:
        wait_until(lambda: service.failure is not None, "the failure")
    assert isinstance(service.failure, ZeroDivisionError)


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        ({"name": "x", "input": "P9_1"}, "stream 'ecg': board 'simulated' has no input 'P9_1'"),
        ({"name": "x", "input": "P9_39", "options": {"signal": "sin"}}, "did you mean 'sine'"),
    ],
)
def test_what_the_board_cannot_do_is_refused_before_anything_runs(
    tmp_path: Path, channel: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        Plan(config_for("mqtt://127.0.0.1", tmp_path, channel=[channel]))
    assert list(tmp_path.iterdir()) == []
