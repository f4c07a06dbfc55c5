"""The subscriber's library: a stream as an iterator."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from boards.options import parse_options
from gateway.client import Received, subscribe
from gateway.codec import CODECS
from gateway.errors import BrokerError, TopicError
from gateway.model import Message
from gateway.mqtt_settings import MqttSettings
from gateway.topics import Topics
from tests.support.messages import batch, same
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.waiting import wait_until

topics = Topics()
BATCH = topics.batch("bbb1", "ecg")
META = topics.meta("bbb1", "ecg")


def settings_for(url: str) -> MqttSettings:
    return parse_options(MqttSettings, {"url": url}, "test")


def send(peer: Peer, message: Message, codec: str = "cbor") -> bytes:
    payload = CODECS[codec].encode(message)
    peer.publish(BATCH, payload)
    return payload


def next_of(stream: Iterator[Received | None]) -> Received:
    """The next message; that nothing comes for a while is passed over."""
    return next(received for received in stream if received is not None)


@pytest.fixture
def device(mosquitto: Mosquitto) -> Iterator[Peer]:
    with Peer(mosquitto.port) as peer:
        yield peer


@pytest.fixture
def stream(mosquitto: Mosquitto, device: Peer) -> Iterator[Iterator[Received | None]]:
    """A subscription that has begun."""
    device.publish(META, json.dumps({"v": 1, "revision": 3}).encode(), retain=True)
    stream = subscribe(settings_for(mosquitto.url), "bbb1/ecg")
    assert next(stream) is None, "nothing has come"
    wait_until(lambda: mosquitto.log.count("Sending SUBACK") == 2, "the subscriptions")
    yield stream
    stream.close()  # type: ignore[attr-defined]


def test_each_message_comes_with_its_bytes_and_the_meta(stream: Iterator[Received | None], device: Peer) -> None:
    sent = [send(device, batch(index, 10)) for index in range(0, 50, 10)]
    received = [next_of(stream) for _ in sent]
    assert [one.payload for one in received] == sent
    assert [one.message.index for one in received] == [0, 10, 20, 30, 40]
    assert all(one.meta == {"v": 1, "revision": 3} for one in received)


def test_a_new_meta_counts_from_the_next_message_on(stream: Iterator[Received | None], device: Peer) -> None:
    send(device, batch(0, 10))
    device.publish(META, json.dumps({"codec": "json"}).encode())
    send(device, batch(10, 10), "json")
    assert next_of(stream).meta["revision"] == 3
    second = next_of(stream)
    assert second.meta == {"codec": "json"}
    assert same(second.message, batch(10, 10))


def test_what_is_no_message_is_logged_and_passed_over(
    stream: Iterator[Received | None], device: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    for payload in (b"", b"\xff", b"\x81" * 10_000):
        device.publish(BATCH, payload)
    device.publish(META, b"no JSON")
    sent = send(device, batch(0, 10))
    assert next_of(stream).payload == sent
    assert sum("undecodable" in message for message in caplog.messages) == 4


def test_it_goes_on_after_the_broker_was_restarted(
    stream: Iterator[Received | None], mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    mosquitto.restart()
    wait_until(lambda: mosquitto.log.count("Sending SUBACK") == 2, "the subscriptions")
    with Peer(mosquitto.port) as peer:
        sent = send(peer, batch(0, 10))
        assert next_of(stream).payload == sent
    assert any("connection lost" in message for message in caplog.messages)


def test_a_first_try_that_fails_raises() -> None:
    port = free_port()
    with pytest.raises(BrokerError, match=f"broker: 127.0.0.1:{port}: Connection refused"):
        next(subscribe(settings_for(f"mqtt://127.0.0.1:{port}"), "bbb1/ecg"))


def test_a_name_that_is_no_stream_raises() -> None:
    with pytest.raises(TopicError, match="must be 'device/stream'"):
        next(subscribe(settings_for("mqtt://127.0.0.1"), "ecg"))


def test_closing_the_iterator_ends_the_connection(mosquitto: Mosquitto) -> None:
    stream = subscribe(settings_for(mosquitto.url), "bbb1/ecg")
    next(stream)
    wait_until(lambda: "Sending SUBACK" in mosquitto.log, "the subscription")
    stream.close()  # type: ignore[attr-defined]
    wait_until(lambda: "Received DISCONNECT from headwater-sub" in mosquitto.log, "the goodbye")
    assert not [thread for thread in threading.enumerate() if "headwater-sub" in thread.name]
