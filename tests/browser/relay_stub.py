"""A stand-in of the relay's API for the page alone: serves the built page and streams a synthetic ECG with gaps.

What is sent is a pure function of the frame's index, so a test can say what the page must show.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web
from numpy.typing import NDArray

from gateway.codec.cbor import CborCodec
from gateway.model import Batch, Gap, Message

DIST = Path(__file__).parents[2] / "gateway" / "relay" / "web" / "dist"
STREAM = "demo/ecg"
RATE = 500
BATCH = 50
GAP_EVERY = 1500
"""In each so many frames, [GAP_FROM, GAP_TO) are declared lost. All are multiples of BATCH."""
GAP_FROM = 700
GAP_TO = 850
REASON = "overrun"
EPOCH = (3 << 32) | 0x5EED

CHANNELS = [
    {"name": "lead_i", "unit": "mV", "scale": 0.0011, "offset": -1.65, "input": "P9_39"},
    {"name": "respiration", "unit": "l/s", "scale": 0.001, "offset": -2.0, "input": "P9_40"},
]
META: dict[str, Any] = {
    "v": 1,
    "revision": 1,
    "stream": "ecg",
    "rate": [RATE, 1],
    "dtype": "int16",
    "codec": "cbor",
    "channels": CHANNELS,
}
STATUS = {"v": 1, "online": True, "epoch": EPOCH}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'"
)
"""The strictest Content-Security-Policy that a server might send: the page must live with it."""


def raw_frames(first: int, count: int) -> NDArray[np.int16]:
    """What is sent for frames first … first + count - 1: 12-bit counts of an ECG and a breath, (count, 2)."""
    seconds = np.arange(first, first + count) / RATE
    beat = seconds % 0.8
    waves = (
        (0.18, 0.16, 0.025),
        (-0.12, 0.235, 0.009),
        (1.15, 0.26, 0.011),
        (-0.22, 0.285, 0.010),
        (0.3, 0.46, 0.045),
    )
    ecg = sum(height * np.exp(-(((beat - at) / width) ** 2) / 2) for height, at, width in waves)
    breath = 0.6 * np.sin(2 * math.pi * seconds / 4)
    physical = np.stack([ecg, breath], axis=1)
    scale = np.array([channel["scale"] for channel in CHANNELS])
    offset = np.array([channel["offset"] for channel in CHANNELS])
    raw: NDArray[np.int16] = np.rint((physical - offset) / scale).astype(np.int16)
    return raw


def physical(index: int) -> list[float]:
    """The physical values of one frame."""
    raw = raw_frames(index, 1)[0]
    return [
        float(value) * float(str(channel["scale"])) + float(str(channel["offset"]))
        for value, channel in zip(raw, CHANNELS, strict=True)
    ]


def is_lost(index: int) -> bool:
    """Whether the frame is in a declared gap."""
    return GAP_FROM <= index % GAP_EVERY < GAP_TO


class RelayStub:
    """The server, in a thread of its own; may be stopped and started again on its port, with the same epoch."""

    def __init__(self) -> None:
        self.start_ns = time.time_ns()
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._halt: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    def utc_ns(self, index: int) -> int:
        """When a frame was taken."""
        return self.start_ns + index * 1_000_000_000 // RATE

    def start(self) -> None:
        """Serve; returns when the port listens."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise TimeoutError("the stand-in of the relay did not start")

    def stop(self) -> None:
        """Close all connections and the port."""
        if self._loop and self._halt and self._thread:
            self._loop.call_soon_threadsafe(self._halt.set)
            self._thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._halt = asyncio.Event()
        app = web.Application()
        app.add_routes(
            [
                web.get("/api/v1/streams", self._streams),
                web.get("/api/v1/live", self._live),
                web.get("/", self._index),
                web.static("/", DIST),
            ]
        )
        app.on_response_prepare.append(self._policy)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._halt.wait()
        await runner.cleanup()

    async def _policy(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = POLICY

    async def _index(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(DIST / "index.html")

    async def _streams(self, _request: web.Request) -> web.Response:
        entry = {
            "stream": STREAM,
            "device": "demo",
            "name": "ecg",
            "online": True,
            "meta": META,
            "last_utc_ns": None,
        }
        return web.json_response({"streams": [entry]})

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "version": 1, "server": "headwater stub"})
        await socket.send_json({"type": "broker", "connected": True})
        sender: asyncio.Task[None] | None = None
        assert self._halt is not None
        closer = asyncio.create_task(self._close_at_halt(socket))
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                request_ = json.loads(message.data)
                if request_["type"] == "ping":
                    await socket.send_json({"type": "pong"})
                elif request_["type"] == "subscribe" and request_["stream"] != STREAM:
                    await socket.send_json(
                        {"type": "error", "code": "unknown_stream", "message": f"no stream {request_['stream']}"}
                    )
                elif request_["type"] == "subscribe":
                    await socket.send_json(
                        {"type": "subscribed", "stream": STREAM, "meta": META, "status": STATUS}
                    )
                    sender = asyncio.create_task(self._send(socket))
        finally:
            closer.cancel()
            if sender:
                sender.cancel()
        return socket

    async def _close_at_halt(self, socket: web.WebSocketResponse) -> None:
        assert self._halt is not None
        await self._halt.wait()
        await socket.close(code=1012)

    async def _send(self, socket: web.WebSocketResponse) -> None:
        codec = CborCodec()
        index = (time.time_ns() - self.start_ns) * RATE // 1_000_000_000 // BATCH * BATCH
        with contextlib.suppress(ConnectionError):
            while True:
                due = self.utc_ns(index + BATCH) - time.time_ns()
                await asyncio.sleep(max(0, due) / 1e9)
                for message in self._messages(index):
                    await socket.send_bytes(codec.encode(message))
                index += BATCH

    def _messages(self, index: int) -> list[Message]:
        """What goes out for the frames from index to index + BATCH."""
        if index % GAP_EVERY == GAP_FROM:
            return [Gap(epoch=EPOCH, index=index, count=GAP_TO - GAP_FROM, reason="overrun")]
        if is_lost(index):
            return []
        now = self.utc_ns(index)
        data = raw_frames(index, BATCH)
        return [Batch(EPOCH, index, now, now, data, rate=Fraction(RATE), clock_error_ns=1_500_000)]
