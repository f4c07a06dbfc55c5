"""The HTTP outlets through a real broker and a real relay."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import cbor2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.codec.cbor import CborCodec
from gateway.model import Gap
from gateway.topics import Topics
from tests.gateway.relay.conftest import Relay
from tests.support.messages import batch
from tests.support.peer import Peer

topics = Topics()
codec = CborCodec()

BATCH = topics.batch("bbb1", "ecg")
META = {"v": 1, "channels": [{"name": "lead_i", "unit": "mV", "scale": 0.5, "offset": -1.0}]}
LIVE = "/api/v1/streams/bbb1/ecg/live"


async def introduce(relay: Relay, device: Peer) -> None:
    """One stream, known to the relay, with ten frames."""
    device.publish(topics.meta("bbb1", "ecg"), json.dumps(META).encode())
    device.publish(BATCH, codec.encode(batch(0, 10)))
    await relay.came_to("bbb1/ecg", 10)


@asynccontextmanager
async def reading(relay: Relay, path: str) -> AsyncIterator[aiohttp.StreamReader]:
    """The body of a response without an end, once the relay has the reader."""
    async with relay.session.get(relay.url + path) as response:
        assert response.status == 200, await response.text()
        yield response.content


async def lines(body: aiohttp.StreamReader, count: int) -> list[str]:
    async with asyncio.timeout(20):
        return [(await body.readline()).decode().rstrip("\n") for _ in range(count)]


async def test_csv_has_a_header_a_line_a_frame_and_gaps_as_comments(relay: Relay, device: Peer) -> None:
    await introduce(relay, device)
    async with reading(relay, LIVE) as body:
        assert await lines(body, 1) == ["time,index,lead_i [mV]"]
        device.publish(BATCH, codec.encode(batch(10, 2)))
        device.publish(BATCH, codec.encode(Gap(1, 12, 5, "overrun")))
        device.publish(BATCH, codec.encode(batch(17, 1)))
        assert await lines(body, 4) == [
            "2023-11-14T22:13:20.020000Z,10,4",
            "2023-11-14T22:13:20.022000Z,11,4.5",
            "# gap: 5 frames from index 12: overrun",
            "2023-11-14T22:13:20.034000Z,17,7.5",
        ]


async def test_csv_says_the_channels_again_when_they_change(relay: Relay, device: Peer) -> None:
    await introduce(relay, device)
    async with reading(relay, LIVE) as body:
        await lines(body, 1)
        channels = [{"name": "a,b", "unit": "%"}]
        device.publish(topics.meta("bbb1", "ecg"), json.dumps({"v": 1, "channels": channels}).encode())
        device.publish(BATCH, codec.encode(batch(10, 1)))
        header, row = await lines(body, 2)
        assert next(csv.reader(io.StringIO(header))) == ["time", "index", "a,b [%]"]
        assert row.endswith(",10,10")


async def test_ndjson_has_an_object_for_each_frame_and_each_gap(relay: Relay, device: Peer) -> None:
    await introduce(relay, device)
    async with reading(relay, LIVE + "?format=ndjson") as body:
        device.publish(BATCH, codec.encode(batch(10, 1)))
        device.publish(BATCH, codec.encode(Gap(1, 11, 5, "late")))
        frame, gap = map(json.loads, await lines(body, 2))
        assert frame == {
            "time": "2023-11-14T22:13:20.020000Z",
            "epoch": 1,
            "index": 10,
            "values": {"lead_i": 4.0},
        }
        assert gap == {"gap": {"epoch": 1, "index": 11, "count": 5, "reason": "late"}}


async def test_cbor_is_the_messages_of_mqtt_one_after_the_other(relay: Relay, device: Peer) -> None:
    await introduce(relay, device)
    sent = [codec.encode(batch(index, 10)) for index in range(10, 50, 10)]
    async with reading(relay, LIVE + "?format=cbor") as body:
        for payload in sent:
            device.publish(BATCH, payload)
        async with asyncio.timeout(20):
            came = await body.readexactly(sum(map(len, sent)))
        assert came == b"".join(sent)
        assert cbor2.CBORDecoder(io.BytesIO(came)).decode()["i"] == 10


async def test_an_old_client_gets_the_body_without_chunks(relay: Relay, device: Peer) -> None:
    await introduce(relay, device)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(relay.url.rpartition(":")[2]))
    writer.write(f"GET {LIVE} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head
        assert await reader.readline() == b"time,index,lead_i [mV]\n"
    writer.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (LIVE + "?format=xml", 400),
        (LIVE + "?policy=hope", 400),
        (LIVE + "?format=csv&format=csv", 400),
        (LIVE + "?stream=bbb1/other", 400),
        (LIVE + "?colour=red", 400),
        ("/api/v1/events?device=%23", 400),
        ("/api/v1/events?devise=bbb1", 400),
        ("/api/v1/streams/bbb1/nothing/live", 404),
        ("/api/v1/streams/b%20b/ecg/live", 400),
        ("/api/v1/streams/%23/%2B/live", 400),
        ("/api/v1/streams/..%2f..%2fetc/passwd/live", 400),
    ],
)
async def test_what_makes_no_sense_is_refused(relay: Relay, device: Peer, path: str, status: int) -> None:
    await introduce(relay, device)
    async with relay.session.get(relay.url + path) as response:
        assert response.status == status
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", [LIVE, LIVE.replace("live", "samples"), "/api/v1/events", "/api/v1/live"])
async def test_head_is_no_way_to_ask_for_what_is_only_known_by_asking(
    relay: Relay, device: Peer, path: str
) -> None:
    await introduce(relay, device)
    async with relay.session.head(relay.url + path) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")
    async with relay.session.head(relay.url + "/healthz") as response:
        assert response.status == 200


async def test_a_reader_that_stalls_is_told_what_it_missed_in_its_own_format(relay: Relay, device: Peer) -> None:
    await introduce(relay, device)
    frames, count = 4096, 100
    async with reading(relay, LIVE) as body:
        await lines(body, 1)
        viewer = await relay.watch("?stream=bbb1/ecg")
        await viewer.told("subscribed")
        for number in range(count):
            payload = codec.encode(batch(10 + number * frames, frames))
            device.publish(BATCH, payload)
            assert await viewer.data() == payload
        index, lost = 10, 0
        while index < 10 + count * frames:
            (line,) = await lines(body, 1)
            if line.startswith("# gap"):
                words = line.split()
                assert (int(words[6].rstrip(":")), words[7]) == (index, "slow")
                lost += int(words[2])
                index += int(words[2])
            else:
                assert int(line.split(",")[1]) == index
                index += 1
    assert lost > 0, "or else nothing was tested"


async def event(body: aiohttp.StreamReader) -> tuple[str, dict[str, Any]]:
    """The next server-sent event."""
    async with asyncio.timeout(20):
        block = (await body.readuntil(b"\n\n")).decode().splitlines()
    fields = dict(line.split(": ", 1) for line in block if line and not line.startswith(":"))
    return fields["event"], json.loads(fields["data"])


async def test_events_tell_what_is_known_and_then_what_happens(relay: Relay, device: Peer) -> None:
    device.publish(topics.status("bbb1"), b'{"online":true}')
    await introduce(relay, device)
    async with reading(relay, "/api/v1/events") as body:
        assert await event(body) == ("broker", {"type": "broker", "connected": True})
        assert (await event(body))[1]["status"] == {"online": True}
        device.publish(topics.event("bbb1", "alarm", "raised"), b'{"level":3}')
        assert await event(body) == (
            "event",
            {"type": "event", "device": "bbb1", "sender": "alarm", "event": "raised", "data": {"level": 3}},
        )
        device.publish(topics.event("bbb1", "alarm", "raised"), b"\xff\x00")
        assert (await event(body))[1]["data"] == {"hex": "ff00"}
        device.publish(topics.health("bbb1"), b'{"cpu":1}')
        assert (await event(body))[0] == "health"
        device.publish(BATCH, b"nonsense")
        assert await event(body) == ("undecodable", {"type": "undecodable", "topic": BATCH, "count": 1})


async def test_events_of_one_device_alone(relay: Relay, device: Peer) -> None:
    async with reading(relay, "/api/v1/events?device=bbb2") as body:
        await event(body)
        device.publish(topics.event("bbb1", "alarm", "raised"), b"1")
        device.publish(topics.event("bbb2", "alarm", "raised"), b"2")
        assert (await event(body))[1]["data"] == 2


async def test_the_figures_add_up(relay: Relay, device: Peer) -> None:
    await introduce(relay, device)
    for message in (batch(0, 10), Gap(1, 10, 5, "late"), batch(15, 10)):
        device.publish(BATCH, codec.encode(message))
    await relay.came_to("bbb1/ecg", 25)
    viewer = await relay.watch("?stream=bbb1/ecg")
    await viewer.told("subscribed")
    async with relay.session.get(relay.url + "/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        families = text_string_to_metric_families(await response.text())
    figures = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
        if sample.labels.pop("worker") == "0"
    }
    assert figures["headwater_frames_delivered_total", "bbb1/ecg"] == 20
    assert figures["headwater_frames_lost_total", "bbb1/ecg", "late"] == 5
    assert figures["headwater_frames_duplicate_total", "bbb1/ecg"] == 10
    assert figures["headwater_subscribers", "websocket"] == 1
    assert figures["headwater_broker_connected",] == 1
    assert figures["process_open_fds",] > 0


async def test_the_list_of_subscribers_has_each_one_s_queue_lag_and_losses(relay: Relay, device: Peer) -> None:
    await introduce(relay, device)
    stalled, healthy = await relay.watch("?stream=bbb1/ecg"), await relay.watch("?stream=bbb1/ecg")
    await healthy.told("subscribed")
    frames = 16_384
    for number in range(512):
        device.publish(BATCH, codec.encode(batch(10 + number * frames, frames)))
        await healthy.data()
    listing = (await relay.get("/api/v1/subscribers"))["subscribers"]
    first, second = sorted(listing, key=lambda entry: entry["id"])
    assert (first["outlet"], first["stream"], first["policy"]) == ("websocket", "bbb1/ecg", "drop_oldest")
    assert first["lost_frames"] > 0
    assert 0 < first["queued_bytes"] <= 256 << 10
    assert first["lag_frames"] == first["queued_messages"] * frames
    assert (second["lost_frames"], second["queued_bytes"], second["lag_frames"]) == (0, 0, 0)
    await stalled.socket.close()


async def test_readiness_is_that_of_the_broker(relay: Relay) -> None:
    assert await relay.get("/readyz") == {"ready": True}
