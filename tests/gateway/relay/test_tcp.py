"""The TCP outlet: what its clients read, and what they are told of what they do not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.errors import ListenError
from gateway.model import Gap
from gateway.relay.outlets import tcp
from gateway.relay.outlets.tcp import TcpReader
from tests.gateway.relay.tcp_yard import META, QUEUE_BYTES, STREAM, TcpClient, TcpYard
from tests.support.messages import batch
from tests.support.ports import accepts
from tests.support.waiting import eventually

UNKNOWN = {"stream": STREAM, "meta": None}


@pytest.fixture
async def yard() -> AsyncIterator[TcpYard]:
    async with TcpYard() as running:
        yield running


async def test_a_line_is_a_frame_in_physical_units_or_a_gap(yard: TcpYard) -> None:
    yard.tell_meta(META)
    client = await yard.connect()
    assert await client.next() == {"stream": STREAM, "meta": META}
    yard.publish(batch(10, 2), Gap(1, 12, 5, "overrun"), batch(17, 1))
    assert [await client.next() for _ in range(4)] == [
        {"time": "2023-11-14T22:13:20.020000Z", "epoch": 1, "index": 10, "values": {"lead_i": 4.0}},
        {"time": "2023-11-14T22:13:20.022000Z", "epoch": 1, "index": 11, "values": {"lead_i": 4.5}},
        {"gap": {"epoch": 1, "index": 12, "count": 5, "reason": "overrun"}},
        {"time": "2023-11-14T22:13:20.034000Z", "epoch": 1, "index": 17, "values": {"lead_i": 7.5}},
    ]


async def test_cbor_is_the_bytes_of_mqtt_after_their_length() -> None:
    async with TcpYard("cbor") as yard:
        yard.tell_meta(META)
        client = await yard.connect()
        assert await client.next() == {"stream": STREAM, "meta": META}
        sent = yard.publish(batch(0, 10), Gap(1, 10, 5, "late"), batch(15, 10))
        assert [await client.payload() for _ in sent] == sent


@pytest.mark.parametrize("format_", ["ndjson", "cbor"])
async def test_a_client_may_be_there_before_the_stream_and_is_told_when_its_meta_changes(format_: str) -> None:
    async with TcpYard(format_) as yard:
        client = await yard.connect()
        assert await client.next() == UNKNOWN
        async with aiohttp.request("GET", f"http://127.0.0.1:{yard.http_port}/api/v1/streams") as response:
            assert await response.json() == {"streams": []}, "nobody has heard of it"
        yard.publish(batch(0, 1))
        assert (await client.next()).keys() >= ({"values"} if format_ == "ndjson" else {"d"})
        yard.tell_meta(META)
        assert await client.next() == {"stream": STREAM, "meta": META}


async def test_every_client_gets_the_same_bytes(yard: TcpYard) -> None:
    clients = [await yard.connect() for _ in range(10)]
    await yard.has(10)
    yard.publish(*(batch(index, 10) for index in range(0, 100, 10)))
    answers = []
    for client in clients:
        async with asyncio.timeout(20):
            answers.append([await client.reader.readline() for _ in range(101)])
    assert answers[1:] == answers[:-1]
    assert b'"index": 99' in answers[0][-1]


def frames_of(content: dict[str, Any]) -> tuple[int, int, str | None]:
    """First index, how many frames, and why they are lost."""
    if "gap" in content:
        gap = content["gap"]
        return gap["index"], gap["count"], gap["reason"]
    if "values" in content:
        return content["index"], 1, None
    if "why" in content:
        return content["i"], content["n"], content["why"]
    return content["i"], content["d"].value[0][0], None


async def read_through(client: TcpClient, end: int) -> int:
    """Read up to that index: each frame once, delivered or declared; how many were declared."""
    index, lost = 0, 0
    while index < end:
        first, count, reason = frames_of(await client.next())
        assert first == index, "each frame is delivered or declared, in order"
        assert reason in (None, "slow")
        index += count
        lost += count if reason else 0
    assert index == end
    return lost


@pytest.mark.parametrize("format_", ["ndjson", "cbor"])
async def test_a_client_that_stalls_is_told_exactly_what_it_missed_and_the_others_miss_nothing(
    format_: str,
) -> None:
    frames, count = (50, 1200) if format_ == "ndjson" else (2000, 3000)
    async with TcpYard(format_) as yard:
        stalled, healthy = await yard.connect(receive_buffer=8192), await yard.connect()
        for client in (stalled, healthy):
            assert await client.next() == UNKNOWN
        first, _ = yard.clients
        reading = asyncio.create_task(read_through(healthy, count * frames))
        for number in range(count):
            yard.publish(batch(number * frames, frames))
            assert first.subscriber.queued_bytes <= QUEUE_BYTES
            await asyncio.sleep(0)
        assert await reading == 0
        assert 0 < await read_through(stalled, count * frames) == first.subscriber.lost_frames


async def test_a_policy_of_the_outlet_goes_before_that_of_the_relay() -> None:
    async with TcpYard(outlet={"policy": "disconnect"}) as yard:
        client = await yard.connect(receive_buffer=8192)
        assert await client.next() == UNKNOWN
        index = 0
        while yard.clients and not yard.clients[0].subscriber._ended:
            yard.publish(batch(index, 500))
            index += 500
            await asyncio.sleep(0)
        last = (await client.reader.read()).splitlines()[-1]
        assert json.loads(last) == {"error": {"code": "slow", "message": "the queue is full"}}


@pytest.mark.parametrize(("mode", "order"), [("live", [0, 20, 10]), ("complete", [0, 10, 20])])
async def test_what_comes_late_comes_late_or_in_order(mode: str, order: list[int]) -> None:
    async with TcpYard("cbor", outlet={"mode": mode}) as yard:
        client = await yard.connect()
        assert await client.next() == UNKNOWN
        yard.publish(batch(0, 10), batch(20, 10), batch(10, 10))
        assert [(await client.next())["i"] for _ in order] == order


async def test_a_client_that_vanishes_is_forgotten_and_harms_nobody(yard: TcpYard) -> None:
    survivor = await yard.connect()
    assert await survivor.next() == UNKNOWN
    for _ in range(5):
        client = await yard.connect()
        await client.next()
        client.reset()
    await yard.has(1)
    yard.publish(batch(0, 1))
    assert (await survivor.next())["index"] == 0
    assert yard.core.gate.connections == 1


async def test_a_client_that_has_closed_its_side_reads_on(yard: TcpYard) -> None:
    client = await yard.connect()
    client.writer.write_eof()
    assert await client.next() == UNKNOWN
    (reader,) = yard.clients
    assert isinstance(reader, TcpReader)
    await eventually(lambda: reader.half_closed_since is not None, "the relay to notice")
    yard.publish(batch(0, 1))
    assert (await client.next())["index"] == 0


async def test_one_that_has_closed_both_is_found_out_though_nothing_is_published(
    yard: TcpYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await yard.connect()
    assert await client.next() == UNKNOWN
    client.writer.close()
    monkeypatch.setattr(tcp, "PROBE_S", 0.0)

    def found_out() -> bool:
        for reader in yard.clients:
            reader.look_after(asyncio.get_running_loop().time())
        return not yard.clients

    await eventually(found_out, "the client to be forgotten")


async def test_at_the_end_each_client_is_told_to_come_back(yard: TcpYard) -> None:
    clients = [await yard.connect() for _ in range(3)]
    await yard.has(3)
    ending = asyncio.create_task(yard.service.__aexit__(None, None, None))
    for client in clients:
        assert await client.error() == {"code": "restart", "message": "the relay restarts; come back"}
        client.writer.close()
    await ending


async def test_a_port_that_is_taken_is_named_and_nothing_is_left_listening() -> None:
    yard = TcpYard()
    with socket.create_server(("127.0.0.1", yard.port)), pytest.raises(ListenError) as caught:
        await yard.service.__aenter__()
    assert str(caught.value) == f"outlet.listen: cannot listen on 127.0.0.1:{yard.port}: Address already in use"
    assert not await asyncio.to_thread(accepts, yard.http_port)
