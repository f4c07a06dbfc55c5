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
FIRST_EPOCH = (3 << 32) | 0x5EED

GAP_EVERY = 1500
GAP_FROM = 700
GAP_COUNT = 150
"""Of each GAP_EVERY frames these are declared lost. All three are multiples of BATCH."""

SCALES = (0.0011, 0.001)
OFFSETS = (-1.65, -2.0)
CHANNELS = [
    {"name": "lead_i", "unit": "mV", "scale": SCALES[0], "offset": OFFSETS[0], "input": "P9_39"},
    {"name": "respiration", "unit": "l/s", "scale": SCALES[1], "offset": OFFSETS[1], "input": "P9_40"},
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
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'"
)
"""The strictest Content-Security-Policy that a server might send: the page must live with it."""

WAVES = (
    (0.18, 0.16, 0.025),
    (-0.12, 0.235, 0.009),
    (1.15, 0.26, 0.011),
    (-0.22, 0.285, 0.010),
    (0.3, 0.46, 0.045),
)
"""Height in mV, place and width in s of P, Q, R, S and T in a beat of 0.8 s."""


def raw_frames(first: int, count: int) -> NDArray[np.int16]:
    """What is sent for `count` frames from `first` on: counts of an ECG and of a breath, shape (count, 2)."""
    seconds = np.arange(first, first + count) / RATE
    beat = seconds % 0.8
    ecg = sum(height * np.exp(-(((beat - at) / width) ** 2) / 2) for height, at, width in WAVES)
    breath = 0.6 * np.sin(2 * math.pi * seconds / 4)
    raw: NDArray[np.int16] = np.rint((np.stack([ecg, breath], axis=1) - OFFSETS) / SCALES).astype(np.int16)
    return raw


class RelayStub:
    """The server, in a thread of its own; may be stopped and started again on its port, with the same epoch."""

    def __init__(self, prefix: str = "") -> None:
        """`prefix`: the path below which a reverse proxy would show it, such as `/lab/scope`."""
        self.prefix = prefix
        self.start_ns = time.time_ns()
        self.epoch = FIRST_EPOCH
        self.silent = False
        """Send no samples: what is due goes missing."""
        self.remembers = True
        """Give who comes, or comes back, what was before."""
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._halt = asyncio.Event()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}{self.prefix}/"

    def utc_ns(self, index: int) -> int:
        """When a frame was taken."""
        return self.start_ns + index * 1_000_000_000 // RATE

    def physical(self, index: int) -> list[float]:
        """The physical values of one frame."""
        raw = raw_frames(index, 1)[0]
        return [float(value) * scale + offset for value, scale, offset in zip(raw, SCALES, OFFSETS, strict=True)]

    def start(self) -> None:
        """Serve; returns when the port listens."""
        ready = threading.Event()
        self._halt = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise TimeoutError("the stand-in of the relay did not start")

    def stop(self) -> None:
        """Close all connections and the port."""
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._halt.set)
            self._thread.join(10)

    def say(self, message: dict[str, Any]) -> None:
        """Send a control message to every viewer."""
        if self._loop:
            asyncio.run_coroutine_threadsafe(self._say(message), self._loop).result(10)

    async def _say(self, message: dict[str, Any]) -> None:
        await asyncio.gather(*(socket.send_json(message) for socket in self._sockets))

    def begin_epoch(self) -> None:
        """The device restarts: a new epoch, counted from 0 from now on. Only while nobody is connected."""
        self.epoch += 1 << 32
        self.start_ns = time.time_ns()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application()
        app.add_routes(
            [
                web.get("/api/v1/streams", self._streams),
                web.get("/api/v1/live", self._live),
                web.get("/", self._index),
                web.static("/", DIST),
            ]
        )
        app.on_response_prepare.append(self._add_policy)
        outer = web.Application()
        if self.prefix:
            outer.add_subapp(self.prefix, app)
        runner = web.AppRunner(outer if self.prefix else app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._halt.wait()
        await asyncio.gather(*(socket.close(code=1012) for socket in self._sockets))
        await runner.cleanup()

    async def _add_policy(self, _request: web.Request, response: web.StreamResponse) -> None:
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
        self._sockets.add(socket)
        sender: asyncio.Task[None] | None = None
        try:
            await socket.send_json({"type": "hello", "version": 1, "server": "stand-in"})
            await socket.send_json({"type": "broker", "connected": True})
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                wish = json.loads(message.data)
                await socket.send_json(self._answer(wish))
                if wish["type"] == "subscribe" and sender:
                    sender.cancel()
                if wish["type"] == "subscribe" and wish["stream"] == STREAM:
                    sender = asyncio.create_task(self._send(socket, self._place(wish)))
        finally:
            self._sockets.discard(socket)
            if sender:
                sender.cancel()
        return socket

    def _answer(self, wish: dict[str, Any]) -> dict[str, Any]:
        if wish["type"] == "ping":
            return {"type": "pong"}
        if wish["stream"] != STREAM:
            return {"type": "error", "code": "unknown_stream", "message": f"there is no stream {wish['stream']}"}
        answer: dict[str, Any] = {"type": "subscribed", "stream": STREAM, "meta": META, "status": self._status()}
        if "last" in wish or "epoch" in wish:
            recovered = self.remembers and wish.get("epoch", self.epoch) == self.epoch
            answer |= {"recovered": recovered, "epoch": self.epoch, "index": self._place(wish)}
        return answer

    def _place(self, wish: dict[str, Any]) -> int:
        """The frame that a subscription begins with, the first of a batch."""
        now = (time.time_ns() - self.start_ns) * RATE // 1_000_000_000
        place = now
        if self.remembers and "last" in wish:
            place = max(0, now - int(wish["last"] * RATE))
        elif self.remembers and "epoch" in wish:
            place = wish["index"] if wish["epoch"] == self.epoch else 0
        return place // BATCH * BATCH

    def _status(self) -> dict[str, Any]:
        return {"v": 1, "online": True, "epoch": self.epoch}

    async def _send(self, socket: web.WebSocketResponse, index: int) -> None:
        codec = CborCodec()
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(max(0, self.utc_ns(index + BATCH) - time.time_ns()) / 1e9)
                message = self._message(index)
                if message and not self.silent:
                    await socket.send_bytes(codec.encode(message))
                index += BATCH

    def _message(self, index: int) -> Message | None:
        """What goes out for the frames from `index` to `index + BATCH`; a gap goes out whole, at its beginning."""
        place = index % GAP_EVERY
        if place == GAP_FROM:
            return Gap(self.epoch, index, GAP_COUNT, "overrun")
        if GAP_FROM < place < GAP_FROM + GAP_COUNT:
            return None
        now = self.utc_ns(index)
        return Batch(
            self.epoch, index, now, now, raw_frames(index, BATCH), Fraction(RATE), clock_error_ns=1_500_000
        )
