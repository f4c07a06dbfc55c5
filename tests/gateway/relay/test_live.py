"""`/api/v1/live` through a real broker, a real relay and a WebSocket client that is not ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from gateway.codec import CODECS
from gateway.codec.cbor import CborCodec
from gateway.model import Batch, Gap
from gateway.topics import Topics
from tests.gateway.relay.conftest import QUEUE_BYTES, Relay
from tests.support.messages import batch, same
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer

topics = Topics()
codec = CborCodec()

META = {"v": 1, "channels": [{"name": "lead_i", "unit": "mV"}]}
STATUS = {"v": 1, "online": True, "epoch": 1}


def send_batch(device: Peer, index: int, frames: int = 10, stream: str = "ecg") -> bytes:
    payload = codec.encode(batch(index, frames))
    device.publish(topics.batch("bbb1", stream), payload)
    return payload


def send_json(device: Peer, topic: str, content: Any, retain: bool = True) -> None:
    device.publish(topic, json.dumps(content).encode(), retain=retain)


async def test_a_viewer_is_greeted_and_told_of_the_broker(relay: Relay) -> None:
    viewer = await relay.watch()
    hello = await viewer.next()
    assert isinstance(hello, dict)
    assert (hello["type"], hello["version"]) == ("hello", 1)
    assert hello["server"].startswith("headwater ")
    assert await viewer.next() == {"type": "broker", "connected": True}
    assert await viewer.is_quiet()


async def test_a_subscriber_is_told_what_is_known_and_gets_the_bytes_of_mqtt(relay: Relay, device: Peer) -> None:
    send_json(device, topics.status("bbb1"), STATUS)
    send_json(device, topics.meta("bbb1", "ecg"), META)
    send_batch(device, 0)
    await relay.came_to("bbb1/ecg", 10)
    viewer = await relay.watch()
    answer = await viewer.subscribe("bbb1/ecg")
    assert answer == {"type": "subscribed", "stream": "bbb1/ecg", "meta": META, "status": STATUS}
    sent = [send_batch(device, index) for index in range(10, 60, 10)]
    gap = codec.encode(Gap(1, 60, 5, "overrun"))
    device.publish(topics.batch("bbb1", "ecg"), gap)
    assert [await viewer.next() for _ in range(6)] == [*sent, gap]


async def test_the_stream_may_be_in_the_address(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    assert (await viewer.told("subscribed"))["stream"] == "bbb1/ecg"
    sent = send_batch(device, 0)
    assert await viewer.next() == sent


async def test_a_stream_that_is_not_there_yet_may_be_subscribed_to(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch()
    answer = await viewer.subscribe("bbb1/later")
    assert (answer["meta"], answer["status"]) == (None, None)
    sent = send_batch(device, 0, stream="later")
    assert await viewer.data() == sent


async def test_a_second_subscription_takes_the_place_of_the_first(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    first = send_batch(device, 0)
    assert await viewer.data() == first
    assert (await viewer.subscribe("bbb1/breath"))["stream"] == "bbb1/breath"
    send_batch(device, 10)
    await relay.came_to("bbb1/ecg", 20)
    sent = send_batch(device, 0, stream="breath")
    assert await viewer.next() == sent


async def test_who_unsubscribed_gets_no_more(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    await viewer.say(type="unsubscribe")
    assert await viewer.told("unsubscribed") == {"type": "unsubscribed"}
    send_batch(device, 0)
    await relay.came_to("bbb1/ecg", 10)
    assert await viewer.is_quiet()


async def test_every_viewer_of_a_stream_gets_the_same_bytes(relay: Relay, device: Peer) -> None:
    viewers = [await relay.watch("?stream=bbb1/ecg") for _ in range(20)]
    for viewer in viewers:
        await viewer.told("subscribed")
    sent = [send_batch(device, index) for index in range(0, 50, 10)]
    for viewer in viewers:
        assert [await viewer.next() for _ in sent] == sent


BAD = {
    "no JSON": "{",
    "no object": "[1]",
    "nothing": "",
    "unknown type": '{"type": "dance"}',
    "no type": '{"stream": "bbb1/ecg"}',
    "no stream": '{"type": "subscribe"}',
    "stream of another type": '{"type": "subscribe", "stream": 5}',
    "stream without a device": '{"type": "subscribe", "stream": "ecg"}',
    "stream with a wildcard": '{"type": "subscribe", "stream": "bbb1/#"}',
    "nested beyond reason": "[" * 10_000,
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_request_is_answered_and_ends_nothing(relay: Relay, kind: str) -> None:
    viewer = await relay.watch()
    await viewer.socket.send_str(BAD[kind])
    error = await viewer.told("error")
    assert (error["code"], bool(error["message"])) == ("bad_request", True)
    assert await viewer.is_quiet()


async def test_a_bad_request_leaves_the_subscription_as_it_is(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    await viewer.say(type="subscribe", stream="no such/thing")
    assert "'no such' is not allowed" in (await viewer.told("error"))["message"]
    sent = send_batch(device, 0)
    assert await viewer.next() == sent


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?stream=ecg", "must be 'device/stream'"),
        ("?stream=bbb1/ecg&stream=bbb2/ecg", "is given twice"),
        ("?policy=decimate", "is missing"),
    ],
)
async def test_a_bad_wish_in_the_address_is_answered(relay: Relay, query: str, words: str) -> None:
    viewer = await relay.watch(query)
    assert words in (await viewer.told("error"))["message"]
    assert await viewer.is_quiet()


async def test_a_binary_message_is_refused(relay: Relay) -> None:
    viewer = await relay.watch()
    await viewer.socket.send_bytes(b"\0")
    assert (await viewer.told("error"))["message"] == "control messages are JSON text"
    assert await viewer.is_quiet()


async def test_a_control_message_that_is_too_long_ends_the_connection_and_no_other(relay: Relay) -> None:
    viewer, other = await relay.watch(), await relay.watch()
    await viewer.socket.send_str("x" * 20_000)
    async with asyncio.timeout(20):
        while (await viewer.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert viewer.socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    await other.told("broker")
    assert await other.is_quiet()


async def test_news_of_the_stream_and_its_device_are_told_to_its_viewers_alone(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    other = await relay.watch("?stream=bbb2/ecg")
    for each in (viewer, other):
        await each.told("subscribed")
    send_json(device, topics.meta("bbb1", "ecg"), META)
    assert await viewer.next() == {"type": "meta", "stream": "bbb1/ecg", "meta": META}
    offline = {**STATUS, "online": False}
    send_json(device, topics.status("bbb1"), offline)
    assert await viewer.next() == {"type": "status", "device": "bbb1", "status": offline}
    send_json(device, topics.meta("bbb1", "breath"), META)
    send_json(device, topics.status("bbb2"), STATUS)
    assert (await other.told("status"))["device"] == "bbb2"
    assert await other.is_quiet()
    assert await viewer.is_quiet()


async def test_all_viewers_are_told_when_the_broker_goes_and_when_it_comes_back(
    relay: Relay, mosquitto: Mosquitto
) -> None:
    viewer = await relay.watch()
    assert (await viewer.told("broker"))["connected"] is True
    await asyncio.to_thread(mosquitto.stop)
    assert (await viewer.told("broker"))["connected"] is False
    assert (await (await relay.watch()).told("broker"))["connected"] is False
    await asyncio.to_thread(mosquitto.start)
    assert (await viewer.told("broker"))["connected"] is True


async def test_a_stream_of_another_codec_comes_as_cbor(relay: Relay, device: Peer) -> None:
    send_json(device, topics.meta("bbb1", "ecg"), {**META, "codec": "json"})
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    message = batch(0, 10)
    device.publish(topics.batch("bbb1", "ecg"), CODECS["json"].encode(message))
    assert same(codec.decode(await viewer.data()), message)


async def test_a_viewer_that_stalls_is_told_exactly_what_it_missed_and_the_others_miss_nothing(
    relay: Relay, device: Peer
) -> None:
    """16 MiB is far more than sockets and the queue hold together."""
    stalled = await relay.watch("?stream=bbb1/ecg")
    healthy = await relay.watch("?stream=bbb1/ecg")
    await healthy.told("subscribed")
    frames, count = 16_384, 512
    for number in range(count):
        sent = send_batch(device, number * frames, frames)
        assert await healthy.next() == sent
    end = send_batch(device, count * frames, 1)
    assert await healthy.next() == end

    index, lost, data = 0, 0, b""
    while data != end:
        data = await stalled.data()
        message = codec.decode(data)
        assert message.index == index, "each frame is delivered or declared, in order"
        index = message.end
        if isinstance(message, Gap):
            assert message.reason == "slow"
            lost += message.count
    assert index == count * frames + 1
    assert 0 < lost < count * frames
    assert frames * 2 * count // 16 > QUEUE_BYTES, "or else nothing had to be lost"


async def test_at_the_end_each_viewer_is_told_to_come_back(relay: Relay) -> None:
    viewers = [await relay.watch("?stream=bbb1/ecg") for _ in range(3)]
    for viewer in viewers:
        await viewer.told("subscribed")
    farewells = [asyncio.create_task(viewer.socket.receive(20)) for viewer in viewers]
    await relay.service.__aexit__(None, None, None)
    for farewell in farewells:
        message = await farewell
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.SERVICE_RESTART)


async def test_a_viewer_that_stalls_does_not_hold_up_the_end(relay: Relay, device: Peer) -> None:
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    for number in range(400):
        send_batch(device, number * 16_384, 16_384)
    await relay.came_to("bbb1/ecg", 400 * 16_384)
    async with asyncio.timeout(5):
        await relay.service.__aexit__(None, None, None)


async def test_a_viewer_that_vanishes_costs_nothing(relay: Relay, device: Peer) -> None:
    for _ in range(5):
        viewer = await relay.watch("?stream=bbb1/ecg")
        await viewer.told("subscribed")
        assert viewer.socket._response.connection is not None
        transport = viewer.socket._response.connection.transport
        assert transport is not None
        transport.abort()
    survivor = await relay.watch("?stream=bbb1/ecg")
    await survivor.told("subscribed")
    sent = send_batch(device, 0)
    assert await survivor.next() == sent


def test_a_batch_of_the_tests_is_what_a_device_sends() -> None:
    assert isinstance(codec.decode(codec.encode(batch(0, 10))), Batch)
