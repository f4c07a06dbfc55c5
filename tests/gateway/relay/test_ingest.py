"""What comes from the broker: counted, and hostile payloads survived."""

from __future__ import annotations

import asyncio
import json

from gateway.codec.cbor import CborCodec
from gateway.model import Gap
from gateway.topics import Topics
from tests.gateway.relay.conftest import Relay, relay_at
from tests.support.messages import batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.waiting import PATIENCE_S

topics = Topics()
codec = CborCodec()

BATCH = topics.batch("bbb1", "ecg")
META = topics.meta("bbb1", "ecg")
STATUS = topics.status("bbb1")

HOSTILE: list[tuple[str, bytes]] = [
    (BATCH, b""),
    (BATCH, b"\xff" * 100),
    (BATCH, b"\x81" * 100_000),
    (BATCH, codec.encode(batch(0, 10))[:-1]),
    (BATCH, codec.encode(batch(0, 10)).replace(b"av\x01", b"av\x02")),
    (BATCH, json.dumps({"v": 1}).encode()),
    (META, b"no JSON"),
    (META, b"[]"),
    (META, b'{"scale": NaN}'),
    (META, b'{"scale": 1e999}'),
    (META, b'{"a":' * 900 + b"1" + b"}" * 900),
    (STATUS, b"\xff"),
    (STATUS, b"[" * 100_000),
    (topics.meta(".hidden", "ecg"), b"{}"),
    (topics.batch("bbb1", "b b"), codec.encode(batch(0, 10))),
]


async def test_every_payload_that_is_no_message_is_counted_and_survived(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    for topic, payload in HOSTILE:
        device.publish(topic, payload)
    sent = codec.encode(batch(0, 10))
    device.publish(BATCH, sent)
    assert await viewer.told("undecodable") == {"type": "undecodable", "topic": BATCH, "count": 1}
    assert await viewer.data() == sent
    assert (await relay.get("/healthz"))["undecodable"] == len(HOSTILE)
    assert [stream["stream"] for stream in (await relay.get("/api/v1/streams"))["streams"]] == ["bbb1/ecg"]


async def test_a_meta_whose_values_make_no_sense_stops_nothing(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    for meta in ({"codec": ["cbor"]}, {"codec": "pickle"}, {"channels": 5}, {"name": "\ud800"}):
        device.publish(META, json.dumps(meta).encode())
        assert (await viewer.told("meta"))["meta"] == meta
    sent = codec.encode(batch(0, 10))
    device.publish(BATCH, sent)
    assert await viewer.next() == sent


async def test_a_cleared_meta_or_status_changes_nothing(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    device.publish(META, b'{"v":1}')
    device.publish(STATUS, b'{"online":true}')
    assert await viewer.told("status")
    device.publish(META, b"")
    device.publish(STATUS, b"")
    sent = codec.encode(batch(0, 10))
    device.publish(BATCH, sent)
    assert await viewer.next() == sent
    stream = await relay.stream("bbb1/ecg")
    assert stream is not None
    assert (stream["meta"], stream["online"]) == ({"v": 1}, True)
    assert (await relay.get("/healthz"))["undecodable"] == 0


async def test_the_listing_says_how_far_each_stream_has_come(relay: Relay, device: Peer) -> None:
    for message in (batch(0, 10), Gap(1, 10, 5, "late"), batch(15, 10)):
        device.publish(BATCH, codec.encode(message))
    await relay.came_to("bbb1/ecg", 25)
    stream = await relay.stream("bbb1/ecg")
    assert stream is not None
    assert (stream["device"], stream["name"], stream["epoch"], stream["end"]) == ("bbb1", "ecg", 1, 25)
    assert (stream["delivered"], stream["lost"]) == (20, {"late": 5})
    assert stream["last_utc_ns"] == str(batch(24).utc_ns)


async def test_what_was_retained_before_the_relay_came_is_known(mosquitto: Mosquitto, device: Peer) -> None:
    device.publish(STATUS, b'{"online":true}', retain=True)
    device.publish(META, b'{"v":1}', retain=True)
    async with relay_at(mosquitto) as relay, asyncio.timeout(PATIENCE_S):
        while (stream := await relay.stream("bbb1/ecg")) is None or not stream["online"]:
            await asyncio.sleep(0.01)
        assert stream["meta"] == {"v": 1}


async def test_a_broker_that_comes_late_is_found_and_said_to_be_missing_until_then(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    async with relay_at(mosquitto) as relay:
        await relay.connected(False)
        mosquitto.start()
        await relay.connected(True)
