"""A TCP proxy that misbehaves on demand: it stands between two parts and is the bad network between them.

It runs on a thread and an event loop of its own, so that tests of any kind may turn its knobs at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

Direction = Literal["up", "down"]
"""`up`: from who connected to the proxy to the target."""

CHUNK = 65536
IDLE_S = 0.005
"""How often a stalled pump looks whether it may go on."""

SLICE_PAUSE_S = 0.0002
"""Between slices, so that the receiver sees them one by one."""

Pair = tuple[asyncio.StreamWriter, asyncio.StreamWriter]
"""To who connected, and to the target."""

T = TypeVar("T")


@dataclass
class Faults:
    """What is wrong with the network at the moment. Every field may be changed while connections are open."""

    latency_s: float = 0.0
    """Each piece is this late, one way."""
    jitter_s: float = 0.0
    """And up to this much more, at random; the order is kept."""
    bytes_per_s: float | None = None
    """The bandwidth in each direction; None for no limit."""
    slice_bytes: int | None = None
    """The largest piece that is written at once: everything arrives in tiny segments."""
    stall_up: bool = False
    """Nothing goes up: it is read neither, so that the sender's buffers fill."""
    stall_down: bool = False
    """The same, down."""
    swallow_up: bool = False
    """What goes up vanishes: the sender believes that all is well."""
    swallow_down: bool = False
    """The same, down. With `swallow_up`, the connection is half-open for both."""
    refuse: bool = False
    """New connections are reset at once."""

    def stalls(self, direction: Direction) -> bool:
        """Whether nothing moves in that direction."""
        return self.stall_up if direction == "up" else self.stall_down

    def swallows(self, direction: Direction) -> bool:
        """Whether what moves in that direction vanishes."""
        return self.swallow_up if direction == "up" else self.swallow_down


class FaultProxy:
    """Listens on a port of its own and passes everything on to the target, as `faults` allows."""

    def __init__(self, target_port: int, *, target_host: str = "127.0.0.1", port: int = 0, seed: int = 0) -> None:
        self.faults = Faults()
        self.connections = 0
        """Accepted so far."""
        self.bytes: dict[Direction, int] = {"up": 0, "down": 0}
        """Passed on so far."""
        self._target = (target_host, target_port)
        self._random = random.Random(seed)
        self._closing = threading.Event()
        self._pairs: set[Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", port))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._pairs)

    def heal(self) -> None:
        """Nothing is wrong any more; what was stalled goes on."""
        self.faults = Faults()

    def cut(self) -> int:
        """Close all connections in the ordinary way (FIN); returns how many there were."""
        return self._run(self._cut(reset=False))

    def reset(self) -> int:
        """Close all connections with RST; returns how many there were."""
        return self._run(self._cut(reset=True))

    def close(self) -> None:
        """Close everything, and end the thread."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.faults.refuse or self._closing.is_set():
            _abort(writer)
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _abort(writer)
            return
        pair: Pair = (writer, up_writer)
        if self._closing.is_set():
            for end in pair:
                _abort(end)
            return
        self._pairs.add(pair)
        pumps = [
            asyncio.create_task(self._pump(reader, pair, "up")),
            asyncio.create_task(self._pump(up_reader, pair, "down")),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps)
        self._tasks.difference_update(pumps)
        self._pairs.discard(pair)
        for end in pair:
            end.close()

    async def _pump(self, reader: asyncio.StreamReader, pair: Pair, direction: Direction) -> None:
        """Pass on until one side ends; if one breaks, so does the other.

        Pieces wait for their time in a queue, so that latency costs no rate.
        """
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        reading = asyncio.create_task(self._read(reader, queue, direction))
        writing = asyncio.create_task(self._write(queue, pair[1 if direction == "up" else 0], direction))
        try:
            await asyncio.gather(reading, writing)
        except OSError:
            for writer in pair:
                _abort(writer)
        finally:
            reading.cancel()
            writing.cancel()

    async def _read(
        self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]], direction: Direction
    ) -> None:
        data = b"begin"
        while data:
            while self.faults.stalls(direction):
                await asyncio.sleep(IDLE_S)
            data = await reader.read(CHUNK)
            await queue.put((self._loop.time() + self._delay(), data))

    def _delay(self) -> float:
        faults = self.faults
        return faults.latency_s + (self._random.uniform(0, faults.jitter_s) if faults.jitter_s else 0.0)

    async def _write(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            while self.faults.stalls(direction):
                await asyncio.sleep(IDLE_S)
            if not data:
                writer.write_eof()
                return
            if not self.faults.swallows(direction):
                await self._write_piece(writer, data, direction)

    async def _write_piece(self, writer: asyncio.StreamWriter, data: bytes, direction: Direction) -> None:
        size = self.faults.slice_bytes or len(data)
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self.bytes[direction] += len(piece)
            writer.write(piece)
            await writer.drain()
            rate = self.faults.bytes_per_s
            if rate is not None:
                await asyncio.sleep(len(piece) / rate)
            elif len(piece) < len(data):
                await asyncio.sleep(SLICE_PAUSE_S)

    async def _cut(self, *, reset: bool) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            for writer in pair:
                _abort(writer) if reset else writer.close()
        for task in list(self._tasks):
            task.cancel()
        return len(pairs)

    async def _close(self) -> None:
        self._closing.set()
        self._server.close()
        await self._cut(reset=True)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST: SO_LINGER with a time of zero, see socket(7)."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
