"""Following a stream to its last frame, over a broker that may lose and devices that may lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from boards.options import parse_options
from gateway.audit import Audit
from gateway.client.follow import Follower
from gateway.errors import BrokerError, TopicError
from gateway.mqtt_settings import MqttSettings
from tests.faults.proxy import FaultProxy
from tests.support.following import Following
from tests.support.handmade import HandmadeDevice
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.waiting import wait_until

REQUESTS = "headwater/bbb1/request/resend"


@contextmanager
def following(broker: Mosquitto, port: int | None = None) -> Iterator[tuple[Following, HandmadeDevice, Peer]]:
    """A follower that was there before epoch 2 began, and who plays the device."""
    with Peer(broker.port, REQUESTS) as peer:
        follower = Following(f"mqtt://127.0.0.1:{port or broker.port}")
        try:
            wait_until(lambda: broker.log.count("Sending SUBACK to headwater-audit") == 3, "the subscriptions")
            device = HandmadeDevice(peer)
            device.status(1)
            device.status(2)
            yield follower, device, peer
        finally:
            follower.stop()


def delivered(count: int) -> Callable[[Audit], bool]:
    return lambda audit: audit.epochs[2].account.delivered == count


def test_a_hole_is_asked_for_until_it_is_filled(mosquitto: Mosquitto) -> None:
    with following(mosquitto) as (follower, device, peer):
        device.batch(2, 0, 10)
        device.batch(2, 20, 30)
        for request in peer.wait_for(2):
            assert json.loads(request.payload) == {"stream": "ecg", "epoch": 2, "ranges": [[10, 20]]}
        device.batch(2, 10, 20)
        follower.wait_for(delivered(30), "all")
        assert follower.audit.undeclared() == 0


def test_nothing_is_asked_for_that_is_there(mosquitto: Mosquitto) -> None:
    with following(mosquitto) as (follower, device, peer):
        for start in range(0, 500, 10):
            device.batch(2, start, start + 10)
        follower.wait_for(delivered(500), "all")
        assert peer.heard == []


def test_what_was_sent_while_the_connection_was_away_is_asked_for(mosquitto: Mosquitto) -> None:
    with FaultProxy(mosquitto.port) as proxy, following(mosquitto, proxy.port) as (follower, device, peer):
        device.batch(2, 0, 10)
        follower.wait_for(delivered(10), "the first batch")
        proxy.faults.refuse = True
        proxy.cut()
        device.batch(2, 10, 20)
        proxy.heal()
        wait_until(lambda: mosquitto.log.count("Sending SUBACK to headwater-audit") == 6, "the subscriptions")
        device.batch(2, 20, 30)
        assert json.loads(peer.wait_for(1)[0].payload)["ranges"] == [[10, 20]]
        device.batch(2, 10, 20)
        follower.wait_for(delivered(30), "all")


def test_payloads_and_statuses_that_are_none_end_nothing(mosquitto: Mosquitto) -> None:
    with following(mosquitto) as (follower, device, peer):
        device.batch(2, 0, 10)
        device.raw(b"")
        device.raw(b"\xff" * 50)
        for status in (b"\xff", b"[]", b'{"epoch": []}', b'{"epoch": 9, "previous": [{"epoch": {}}, 5]}'):
            peer.publish("headwater/bbb1/status", status)
        for meta in (b"", b"\xff", b"[]", b'{"codec": ["json"]}', b'{"codec": {}}'):
            peer.publish("headwater/bbb1/stream/ecg/meta", meta)
        device.batch(2, 10, 20)
        follower.wait_for(delivered(20), "what came after it")


def test_a_stream_in_another_codec_is_understood_by_its_meta(mosquitto: Mosquitto) -> None:
    gap = {"v": 1, "e": 2, "i": 0, "n": 5, "why": "late"}
    with following(mosquitto) as (follower, device, peer):
        peer.publish("headwater/bbb1/stream/ecg/meta", b'{"codec": "json"}', retain=True)
        device.raw(json.dumps(gap).encode())
        follower.wait_for(lambda audit: audit.epochs[2].account.declared == 5, "the gap")


def test_without_a_broker_the_first_try_fails() -> None:
    settings = parse_options(MqttSettings, {"url": f"mqtt://127.0.0.1:{free_port()}"}, "test")
    with pytest.raises(BrokerError, match="Connection refused"):
        for _ in Follower(settings, "bbb1/ecg").follow():
            pass


def test_what_is_no_stream_is_refused() -> None:
    with pytest.raises(TopicError):
        Follower(parse_options(MqttSettings, {}, "test"), "ecg")
