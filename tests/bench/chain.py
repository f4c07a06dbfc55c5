"""Board → device → mosquitto → relay → WebSocket subscriber, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import psutil

from gateway.codec import CODECS
from gateway.model import Batch
from tests.bench.report import Report

SECONDS = 8.0
SETTLE_S = 2.0

LOADS = {
    "2 ch x 500 Hz, 100 ms batches": (2, 500, "realtime"),
    "8 ch x 1 kHz, 100 ms batches": (8, 1000, "realtime"),
    "8 ch x 25 kHz, 100 ms batches": (8, 25_000, "realtime"),
    "8 ch as fast as it goes": (8, 25_000, "free"),
}
PINS = ("P9_39", "P9_40", "P9_37", "P9_38", "P9_33", "P9_36", "P9_35", "AIN7")


def benchmark(runs: int) -> Report:
    """CPU of each part from the operating system over some seconds, and what reached the subscriber."""
    columns = ("samples/s", "declared lost %", "device us/k", "broker us/k", "relay us/k", "device MiB")
    report = Report("Chain: simulated board to a WebSocket subscriber", columns)
    for name, (channels, rate, pace) in LOADS.items():
        report.add(name, [_run(channels, rate, pace) for _ in range(runs)])
    report.notes = [
        f"Medians of {runs} runs of {SECONDS:g} s. us/k: microseconds of CPU for 1 000 samples that arrived.",
        "The device's CPU includes making the simulated signals. A sample is one value of one channel.",
        "As fast as it goes: the board makes more than the chain carries; the outbox declares the rest lost.",
    ]
    return report


class Part:
    """One process of the chain, ended with the block."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._about = psutil.Process(self._process.pid)

    def cpu_s(self) -> float:
        """User and system time so far."""
        times = self._about.cpu_times()
        return float(times.user + times.system)

    def memory_mib(self) -> float:
        """Resident memory."""
        return float(self._about.memory_info().rss) / 2**20

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)


def _run(channels: int, rate: int, pace: str) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        mqtt, http = _free_port(), _free_port()
        config = Path(folder) / "device.toml"
        config.write_text(_device(channels, rate, pace, mqtt, folder), encoding="utf-8")
        broker_config = Path(folder) / "mosquitto.conf"
        broker_config.write_text(f"listener {mqtt} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
        broker = stack.enter_context(Part("mosquitto", "-c", str(broker_config)))
        headwater = (sys.executable, "-m", "gateway")
        url = f"mqtt.url=mqtt://127.0.0.1:{mqtt}"
        relay = stack.enter_context(
            Part(*headwater, "relay", "--set", url, "--set", f"relay.listen=127.0.0.1:{http}")
        )
        device = stack.enter_context(Part(*headwater, "run", str(config)))
        return asyncio.run(_measure(http, channels, {"device": device, "broker": broker, "relay": relay}))


async def _measure(port: int, channels: int, parts: Mapping[str, Part]) -> Mapping[str, float]:
    async with aiohttp.ClientSession() as session, await _connect(session, port) as live:
        async with asyncio.timeout(SETTLE_S + SECONDS + 30):
            await _count(live, SETTLE_S)
            before = {name: part.cpu_s() for name, part in parts.items()}
            started = time.monotonic()
            arrived, lost = await _count(live, SECONDS)
            took = time.monotonic() - started
            used = {name: part.cpu_s() - before[name] for name, part in parts.items()}
    samples = arrived * channels
    return {
        "samples/s": samples / took,
        "declared lost %": 100 * lost / max(1, lost + arrived),
        **{f"{name} us/k": 1e9 * seconds / max(1, samples) for name, seconds in used.items()},
        "device MiB": parts["device"].memory_mib(),
    }


async def _connect(session: aiohttp.ClientSession, port: int) -> aiohttp.ClientWebSocketResponse:
    deadline = time.monotonic() + 15
    while True:
        try:
            url = f"http://127.0.0.1:{port}/api/v1/live?stream=bench/load"
            return await session.ws_connect(url, max_msg_size=0)
        except aiohttp.ClientError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def _count(live: aiohttp.ClientWebSocketResponse, seconds: float) -> tuple[int, int]:
    """Frames that arrived and frames that were declared lost."""
    arrived = lost = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        message = await live.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            continue
        item = CODECS["cbor"].decode(message.data)
        if isinstance(item, Batch):
            arrived += item.frames
        else:
            lost += item.count
    return arrived, lost


def _device(channels: int, rate: int, pace: str, port: int, folder: str) -> str:
    columns = "".join(
        f'[[stream.channel]]\nname = "c{number}"\ninput = {json.dumps(pin)}\noptions = {{ signal = "ramp" }}\n'
        for number, pin in enumerate(PINS[:channels])
    )
    return (
        f'[device]\nname = "bench"\nstate = {json.dumps(folder)}\n[board]\npace = "{pace}"\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\n[[stream]]\nname = "load"\nrate = {rate}\n{columns}'
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
