"""Late joiners and those who come back, over real WebSockets and HTTP."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from typing import Any

import aiohttp
import cbor2
import numpy as np
import pytest

from gateway.account import IntervalSet
from gateway.codec.cbor import CborCodec
from gateway.model import Batch, Gap, Message
from gateway.topics import Topics
from tests.gateway.relay.conftest import Relay, Viewer
from tests.support.messages import batch
from tests.support.peer import Peer
from tests.support.waiting import PATIENCE_S

topics, codec = Topics(), CborCodec()
CYCLES = 1000


def send(device: Peer, *messages: Message) -> None:
    for message in messages:
        device.publish(topics.batch("bbb1", "ecg"), codec.encode(message))


async def fill(relay: Relay, device: Peer, end: int, step: int = 50) -> None:
    send(device, *(batch(index, step) for index in range(0, end, step)))
    await relay.came_to("bbb1/ecg", end)


async def ask(relay: Relay, **wish: Any) -> tuple[Viewer, dict[str, Any]]:
    viewer = await relay.watch()
    await viewer.say(type="subscribe", stream="bbb1/ecg", **wish)
    return viewer, await viewer.told("subscribed")


async def read(viewer: Viewer, end: int) -> list[Message]:
    """Everything up to an index, in the order in which it came."""
    messages = list[Message]()
    while not messages or messages[-1].end < end:
        messages.append(codec.decode(await viewer.data()))
    return messages


def ranges(messages: list[Message]) -> list[list[int]]:
    found = IntervalSet()
    for message in messages:
        assert found.add(message.index, message.end) == [(message.index, message.end)], "twice"
    return found.as_list()


async def test_a_late_joiner_starts_with_the_past(relay: Relay, device: Peer) -> None:
    await fill(relay, device, 2000)
    viewer, answer = await ask(relay, last="2s")
    assert (answer["recovered"], answer["epoch"], answer["index"]) == (True, 1, 1000)
    send(device, batch(2000, 50))
    assert ranges(await read(viewer, 2050)) == [[1000, 2050]]
    viewer, _ = await ask(relay, last_frames=10)
    assert ranges(await read(viewer, 2050)) == [[2040, 2050]]


async def test_who_comes_back_goes_on_where_it_was(relay: Relay, device: Peer) -> None:
    await fill(relay, device, 1000)
    viewer, answer = await ask(relay, epoch=1, index=317)
    assert answer["recovered"] is True
    first = codec.decode(await viewer.data())
    assert isinstance(first, Batch)
    assert (first.index, first.data[0, 0]) == (317, 317)


async def test_who_was_away_too_long_is_told_so(relay: Relay, device: Peer) -> None:
    send(device, *(batch(index, 50) for index in range(500, 1000, 50)))
    await relay.came_to("bbb1/ecg", 1000)
    viewer, answer = await ask(relay, epoch=1, index=100)
    assert answer["recovered"] is False
    messages = await read(viewer, 1000)
    assert messages[0] == Gap(1, 100, 400, "slow")
    assert ranges(messages) == [[100, 1000]]


async def test_nobody_gets_a_past_that_he_did_not_ask_for(relay: Relay, device: Peer) -> None:
    await fill(relay, device, 1000)
    viewer, answer = await ask(relay)
    assert "recovered" not in answer
    send(device, batch(1000, 50))
    assert (codec.decode(await viewer.data())).index == 1000


async def test_in_order_backlog_is_waited_for(relay: Relay, device: Peer) -> None:
    await fill(relay, device, 500)
    viewer, _ = await ask(relay, mode="complete", last_frames=100)
    send(device, batch(550, 50), batch(600, 50))
    assert ranges(await read(viewer, 500)) == [[400, 500]]
    assert await viewer.is_quiet()
    send(device, batch(500, 50))
    assert [message.index for message in await read(viewer, 650)] == [500, 550, 600]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"epoch": 1}, "belong together"),
        ({"epoch": 1, "index": 0, "last": "1s"}, "only one of"),
        ({"mode": "newest"}, "'live' or 'complete'"),
        ({"last": "soon"}, "a duration"),
        ({"last_frames": 0}, "greater than or equal to 1"),
        ({"epoch": "x", "index": 0}, "valid integer"),
        ({"policy": "hope"}, "'drop_oldest', 'decimate' or 'disconnect'"),
        ({"begin": 1}, "unknown key"),
        ({"last": 1e300}, "at most a hundred years"),
        ({"envelope": {"width": 1}}, "greater than or equal to 2"),
        ({"envelope": {"channels": []}}, "at least 1"),
        ({"envelope": {"rate": 1000}}, "less than or equal to 60"),
        ({"envelope": 5}, "must be a table"),
    ],
)
async def test_a_wish_that_is_none_is_answered_with_what_is_allowed(
    relay: Relay, wish: dict[str, Any], words: str
) -> None:
    viewer = await relay.watch()
    await viewer.say(type="subscribe", stream="bbb1/ecg", **wish)
    answer = await viewer.told("error")
    assert answer["code"] == "bad_request"
    assert words in answer["message"]


async def test_a_stream_over_http_begins_in_the_past_too(relay: Relay, device: Peer) -> None:
    await fill(relay, device, 1000)
    url = f"{relay.url}/api/v1/streams/bbb1/ecg/live?format=ndjson&epoch=1&index=900"
    async with relay.session.get(url) as answer:
        assert answer.headers["Headwater-Recovered"] == "true"
        send(device, batch(1000, 50))
        for index in range(900, 1050):
            assert json.loads(await answer.content.readline())["index"] == index


async def test_a_thousand_times_away_and_back_and_nothing_is_missing_or_there_twice(
    relay: Relay, device: Peer
) -> None:
    """Cut off at random, most often by a reset, while the stream goes on; each time it resumes where it was."""
    choose, came, end = random.Random(1), IntervalSet(), 0
    await fill(relay, device, 10, 10)
    for cycle in range(CYCLES):
        if cycle % 2 == 0:
            end += 10
            device.send(topics.batch("bbb1", "ecg"), codec.encode(batch(end, 10)))
        viewer = await relay.watch(f"?stream=bbb1/ecg&epoch=1&index={came.end}")
        for _ in range(choose.randrange(6)):
            try:
                message = await viewer.socket.receive(0.002)
            except TimeoutError:
                break
            if message.type is aiohttp.WSMsgType.BINARY:
                take(came, codec.decode(message.data))
        await hang_up(viewer.socket, abruptly=choose.random() < 0.7)
    end += 10
    await relay.came_to("bbb1/ecg", end)
    viewer, answer = await ask(relay, epoch=1, index=came.end)
    assert answer["recovered"] is True
    if came.end < end:
        for content in await read(viewer, end):
            take(came, content)
    assert came.as_list() == [[0, end]]


def take(came: IntervalSet, content: Message) -> None:
    assert isinstance(content, Batch)
    assert came.add(content.index, content.end) == [(content.index, content.end)], "twice"


async def hang_up(live: aiohttp.ClientWebSocketResponse, *, abruptly: bool) -> None:
    handle = live.get_extra_info("socket")
    if abruptly and handle is not None:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport = live._writer.transport
        assert transport is not None
        transport.abort()
    await live.close()


async def test_a_viewer_of_an_envelope_sees_every_spike_and_gets_no_samples(relay: Relay, device: Peer) -> None:
    await fill(relay, device, 2000)
    viewer, _ = await ask(relay, envelope={"seconds": 4, "width": 100, "rate": 50})
    seen = dict[int, tuple[int, int]]()
    spike = batch(2000, 50)
    spike.data[33, 0] = -20_000
    send(device, spike)
    async with asyncio.timeout(PATIENCE_S):
        while not any(low == -20_000 for low, _ in seen.values()):
            content = cbor2.loads(await viewer.data())
            assert "d" not in content
            assert content["n"] <= 100
            lows, highs = (np.frombuffer(content[key].value[1].value, "<i2") for key in ("lo", "hi"))
            for number in range(content["n"]):
                seen[content["i"] + number * content["b"]] = (int(lows[number]), int(highs[number]))
    assert min(seen) <= 60, "the window begins in the history"
    assert max(high for _, high in seen.values()) == 2049


async def test_an_envelope_says_what_was_declared_lost_and_never_comes_before_its_subscription(
    relay: Relay, device: Peer
) -> None:
    await fill(relay, device, 500)
    send(device, Gap(1, 500, 50, "overrun"), batch(550, 50))
    await relay.came_to("bbb1/ecg", 600)
    for _ in range(3):  # the later ones find the pyramid there
        viewer, _ = await ask(relay, envelope={"seconds": 4, "width": 100})
        assert cbor2.loads(await viewer.data())["g"] == [[500, 50, "overrun"]]
    (content,) = cbor2.loads(b"\x81" + await points(relay, 40))
    assert content["g"] == [[500, 50, "overrun"]]


async def points(relay: Relay, count: int) -> bytes:
    url = f"{relay.url}/api/v1/streams/bbb1/ecg/samples?format=cbor&points={count}"
    async with relay.session.get(url) as answer:
        return await answer.read()


async def test_a_viewer_of_an_envelope_that_stalls_is_refreshed_later_and_costs_no_queue(
    relay: Relay, device: Peer
) -> None:
    await fill(relay, device, 500)
    viewer, _ = await ask(relay, envelope={"width": 50, "channels": [0]})
    await viewer.data()
    (subscriber,) = (await relay.get("/api/v1/subscribers"))["subscribers"]
    assert (subscriber["reads"], subscriber["queued_bytes"]) == ("envelope", 0)
    await viewer.say(type="unsubscribe")
    await viewer.told("unsubscribed")
    send(device, batch(500, 50))
    await relay.came_to("bbb1/ecg", 550)
    assert await viewer.is_quiet()


async def test_channels_that_there_are_not_are_refused(relay: Relay, device: Peer) -> None:
    await fill(relay, device, 500)
    viewer, _ = await ask(relay, envelope={})
    await viewer.data()
    await viewer.say(type="subscribe", stream="bbb1/ecg", envelope={"channels": [3]})
    assert "there is no channel 3" in (await viewer.told("error"))["message"]
