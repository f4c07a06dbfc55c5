"""From the newest sample of a batch to a subscriber, beside one bare MQTT hop at the same time."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import aiohttp

from tests.bench.listener import BATCHES, HOP, Arrival, Listener, batches, percentiles_ms, taken_ns
from tests.bench.peers.playback import SETTLE_S
from tests.bench.report import Report
from tests.bench.rig import CHANNELS, device, device_config, process, quiet_broker, record, workplace
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.waiting import wait_until

SECONDS = 60.0
PERIOD_MS = 10
OVERHEAD_BYTES = 77
"""Of a batch, roughly: the bare hop carries as much."""
COLUMNS = ("p50 ms", "p99 ms", "hop p50 ms", "hop p99 ms", "more p50 ms", "more p99 ms")

SUBJECTS: dict[str, tuple[int, str, bool]] = {
    "8 ch x 1 kHz, spill": (1000, "spill", False),
    "8 ch x 1 kHz, always": (1000, "always", False),
    "8 ch x 25 kHz, spill": (25_000, "spill", False),
    "8 ch x 1 kHz, spill, relay, WebSocket": (1000, "spill", True),
}
"""Rate, durability, and whether through the relay."""


def benchmark(runs: int, seconds: float = SECONDS) -> Report:
    """Each subject in turn, and all of them again; the hop is measured in every run."""
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in SUBJECTS}
    for _ in range(runs):
        for name, subject in SUBJECTS.items():
            with workplace() as directory:
                found[name].append(_run(directory, seconds, *subject))
    report = Report(f"Latency: newest sample of a {PERIOD_MS} ms batch to the subscriber, {seconds:g} s", COLUMNS)
    for name, figures in found.items():
        report.add(name, figures)
    report.notes = [
        f"Medians of {runs} runs. From when the batch's newest frame was due, so that the batch's own length does",
        "not count, to the subscriber's callback, on one clock; the board's wake-up by the timer is in it.",
        "Hop: a bare paho publisher and subscriber over the same mosquitto in the same run, as many bytes, QoS 1,",
        "half a period beside. More: what Headwater takes beyond that.",
        "`always` waits up to 20 ms for others to share its fsync with, and for the disk, before it sends.",
    ]
    return report


def _run(directory: Path, seconds: float, rate: int, durability: str, relayed: bool) -> Mapping[str, float]:
    recording = record(directory / "recording.npy", rate)
    size = rate * PERIOD_MS // 1000 * CHANNELS * 2 + OVERHEAD_BYTES
    with ExitStack() as stack:
        broker = stack.enter_context(quiet_broker(directory))
        listener = stack.enter_context(Listener(broker.port))
        collect = _relay(stack, broker) if relayed else _wait
        length = SETTLE_S + seconds + 10
        stack.enter_context(
            process(sys.executable, "tests.bench.hop", str(broker.port), str(size), str(PERIOD_MS), str(length))
        )
        config = device_config(directory, broker.port, recording, rate, f"{PERIOD_MS}ms", durability)
        running = stack.enter_context(device(config, length))
        wait_until(lambda: "begin" in running.out or not running.running, f"{running} to begin")
        listener.clear()
        arrivals = collect(seconds) or listener.arrivals[BATCHES]
        hops = listener.arrivals[HOP]
    p50, p99 = percentiles_ms([at_ns - taken_ns(batch) for at_ns, batch in batches(list(arrivals))])
    hop50, hop99 = percentiles_ms([at_ns - struct.unpack_from("<q", payload)[0] for at_ns, payload in list(hops)])
    return dict(zip(COLUMNS, (p50, p99, hop50, hop99, p50 - hop50, p99 - hop99), strict=True))


def _wait(seconds: float) -> list[Arrival]:
    time.sleep(seconds)
    return []


def _relay(stack: ExitStack, broker: Mosquitto) -> Callable[[float], list[Arrival]]:
    """Start a relay; what its WebSocket brings in so many seconds."""
    where = f"127.0.0.1:{free_port()}"
    options = ("--set", f"mqtt.url={broker.url}", "--set", f"relay.listen={where}")
    stack.enter_context(process(sys.executable, "gateway", "relay", *options))
    return lambda seconds: asyncio.run(_watch(f"http://{where}/api/v1/live?stream=bench/load", seconds))


async def _watch(url: str, seconds: float) -> list[Arrival]:
    arrivals: list[Arrival] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as live:
        ends = time.monotonic() + seconds
        async for message in live:
            if message.type is aiohttp.WSMsgType.BINARY:
                arrivals.append((time.monotonic_ns(), message.data))
            if time.monotonic() > ends:
                break
    return arrivals
