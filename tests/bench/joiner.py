"""What a late joiner waits for: 30 s of 8 ch x 1 kHz over a WebSocket on loopback, connect to last byte."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from fractions import Fraction
from urllib.request import urlopen

import aiohttp
import numpy as np

from gateway.account import IntervalSet
from gateway.codec import CODECS
from gateway.model import Batch
from tests.bench.publishers import EPOCH, STREAM, MqttPublisher
from tests.bench.report import Report
from tests.bench.serving import HEADWATER, HEADWATER_UVLOOP, Subject, serving
from tests.support.waiting import wait_until

RATE, CHANNELS, FRAMES = 1000, 8, 100
KEPT_S, WANTED_S = 60, 30
GOAL_MS = 200
JOINS = 10


class Samples(MqttPublisher):
    """8 channels at 1 kHz, as fast as they are taken."""

    def send_next(self) -> None:
        index = self.count * FRAMES
        data = (np.arange(FRAMES * CHANNELS) + index).astype("<i2").reshape(FRAMES, CHANNELS)
        batch = Batch(EPOCH, index, index * 1_000_000_000 // RATE, 1 << 40, data, Fraction(RATE))
        self.send(CODECS["cbor"].encode(batch))
        self.count += 1


def benchmark(runs: int) -> Report:
    """The median and the slowest of some joins, each complete to the frame."""
    columns = ("median ms", "slowest ms", "MB")
    report = Report(f"Late joiner: {WANTED_S} s of {CHANNELS} ch x {RATE} Hz over a WebSocket", columns)
    small = "history.memory=2s"
    for name, subject, settings in (
        ("from memory", HEADWATER, ()),
        ("from memory, uvloop", HEADWATER_UVLOOP, ()),
        ("from disk", HEADWATER, (small,)),
        ("from disk, uvloop", HEADWATER_UVLOOP, (small,)),
    ):
        report.add(name, [_run(subject, *settings) for _ in range(runs)])
    report.notes = [
        f"Medians of {runs} runs of {JOINS} joins each; goal: {GOAL_MS} ms. The client is aiohttp.",
        "From connect to the last frame, with handshake, subscription and the client's own time; every frame is",
        "counted, once. From disk: the relay keeps 2 s in memory, so that 28 s come from files in the page cache.",
    ]
    return report


def _run(subject: Subject, *settings: str) -> Mapping[str, float]:
    with serving(subject, FRAMES, *settings, publisher=Samples) as served:
        end = KEPT_S * RATE
        while served.publisher.count * FRAMES < end:
            served.publisher.send_next()
        wait_until(lambda: _came(served.port) == end, "the relay to take it all")
        took = [asyncio.run(_join(served.port, end)) for _ in range(JOINS)]
    times = sorted(seconds for seconds, _ in took)
    return {"median ms": times[len(times) // 2] * 1e3, "slowest ms": times[-1] * 1e3, "MB": took[0][1] / 1e6}


def _came(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/api/v1/streams") as answer:
        streams = json.load(answer)["streams"]
    return int(streams[0]["end"]) if streams else 0


async def _join(port: int, end: int) -> tuple[float, int]:
    """Seconds, and the bytes of the messages."""
    payloads = list[bytes]()
    begin = time.perf_counter()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/api/v1/live?stream={STREAM}&last={WANTED_S}s") as live,
    ):
        while len(payloads) < WANTED_S * RATE // FRAMES:
            message = await live.receive(10)
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
            if message.type is aiohttp.WSMsgType.BINARY:
                payloads.append(message.data)
        took = time.perf_counter() - begin
    came = IntervalSet()
    for payload in payloads:
        content = CODECS["cbor"].decode(payload)
        assert came.add(content.index, content.end) == [(content.index, content.end)]
    assert came.as_list() == [[end - WANTED_S * RATE, end]]
    return took, sum(map(len, payloads))
