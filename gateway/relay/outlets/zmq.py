"""A stream over ZeroMQ in the layout of mflow's `array-1.0`: existing receivers connect as they are.

Each batch is a message of two parts: a JSON header, and the samples as they are, shape (frames, channels).
`frame` counts the messages. What mflow has no word for is beside it: `epoch`, `index`, `utc_ns`, and in `gaps`
what has been declared lost since the message before, by the device or, with the reason `slow`, by this outlet. A
PUB socket drops for a slow subscriber without a word; `index` says so. A PUSH socket drops nothing, and what waits
for it is bounded.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

from gateway.config import ZmqSettings
from gateway.errors import ConfigError, ListenError
from gateway.relay.core import Core
from gateway.relay.delivery import Delivery
from gateway.relay.subscriber import Subscriber

RETRY_S = 0.02
"""How long until a PUSH socket that took nothing is tried again."""
QUEUE_MESSAGES = 100
"""How many messages ZeroMQ keeps for each peer: mflow's own default."""
MAXIMUM_GAPS = 1000
"""How many gaps one header lists; if there were more, `gaps_complete` is false."""
LENGTHS = struct.Struct("!II")
"""Before each message on its way to the socket: the lengths of its two parts."""


class ArrayForm:
    """Messages as they wait: two lengths, a header that is not closed yet or a gap, the samples. Of one outlet."""

    def __init__(self, stream: str, every: int) -> None:
        self._stream = stream
        self._every = every
        self._batches = 0

    def __call__(self, delivery: Delivery) -> bytes:
        """The bytes; none for a batch that is left out."""
        batch = delivery.batch
        if batch is None:
            span = delivery.span
            gap = {"epoch": span.epoch, "index": span.index, "count": span.count, "reason": span.reason}
            text = json.dumps(gap).encode()
            return LENGTHS.pack(len(text), 0) + text
        self._batches += 1
        if (self._batches - 1) % self._every:
            return b""
        header = {
            "htype": "array-1.0",
            "shape": list(batch.data.shape),
            "type": batch.data.dtype.name,
            "endianness": "little",
            "source": self._stream,
            "encoding": "",
            "tags": [],
            "epoch": batch.epoch,
            "index": batch.index,
            "utc_ns": batch.utc_ns,
        }
        text, samples = json.dumps(header).encode()[:-1], batch.data.tobytes()
        return LENGTHS.pack(len(text), len(samples)) + text + samples


class ZmqOutlet:
    """One bound socket. Raises ConfigError if pyzmq is missing."""

    shared: ClassVar[bool] = False

    def __init__(self, core: Core, settings: ZmqSettings) -> None:
        self._hub = core.hub
        self._settings = settings
        self._stream = settings.stream
        self._loop = asyncio.get_running_loop()
        self._zmq = _pyzmq()
        self._held: bytes = b""
        self._timer: asyncio.TimerHandle | None = None
        self._context = self._zmq.Context()
        self._socket = self._context.socket(self._zmq.PUSH if settings.mode == "push" else self._zmq.PUB)
        self._socket.set_hwm(QUEUE_MESSAGES)
        self._socket.setsockopt(self._zmq.LINGER, 0)
        self._form = ArrayForm(settings.stream, settings.every)
        self._frame = 0
        self._gaps: list[bytes] = []
        self._gaps_complete = True
        self._bound = core.settings.queue
        self.subscriber = Subscriber(self, self._form, self._bound)

    async def open(self) -> None:
        """Bind, and give the stream away; raises ListenError."""
        try:
            self._socket.bind(self._settings.bind)
        except self._zmq.ZMQError as error:
            raise ListenError(f"outlet.bind: cannot listen on {self._settings.bind}: {error}") from None
        self._hub.subscribe(self._stream, self.subscriber)

    def send(self, wire: bytes) -> bool:
        """Take messages; whether more may follow."""
        self._held = self._write(wire)
        if self._held:
            self._timer = self._loop.call_later(RETRY_S, self._retry)
        return not self._held

    def end(self, reason: str) -> None:
        """More separate gaps than can be listed: go on with what comes, and say that something is missing."""
        self._hub.unsubscribe(self._stream, self.subscriber)
        self._gaps_complete = False
        self.subscriber = Subscriber(self, self._form, self._bound)
        if self._held:
            self.subscriber.stall()
        self._hub.subscribe(self._stream, self.subscriber)

    def soon(self, work: Callable[[], None]) -> None:
        """Do the work after the others had their turn."""
        self._loop.call_soon(work)

    def close(self) -> None:
        """Close the socket; what waits is dropped."""
        if self._timer is not None:
            self._timer.cancel()
        self._hub.unsubscribe(self._stream, self.subscriber)
        self._context.destroy(0)

    def _write(self, wire: bytes) -> bytes:
        """Give the socket as many messages as it takes; those that it does not."""
        start = 0
        while start < len(wire):
            text_bytes, samples_bytes = LENGTHS.unpack_from(wire, start)
            middle = start + LENGTHS.size + text_bytes
            text, samples = wire[start + LENGTHS.size : middle], wire[middle : middle + samples_bytes]
            if not samples:
                self._note_gap(text)
            elif not self._send(text, samples):
                return wire[start:]
            start = middle + samples_bytes
        return b""

    def _note_gap(self, text: bytes) -> None:
        if len(self._gaps) < MAXIMUM_GAPS:
            self._gaps.append(text)
        else:
            self._gaps_complete = False

    def _send(self, text: bytes, samples: bytes) -> bool:
        complete = b"true" if self._gaps_complete else b"false"
        rest = b', "frame": %d, "gaps": [%b], "gaps_complete": %b}' % (
            self._frame,
            b",".join(self._gaps),
            complete,
        )
        try:
            self._socket.send_multipart([text + rest, samples], flags=self._zmq.NOBLOCK)
        except self._zmq.Again:
            return False
        self._frame += 1
        self._gaps, self._gaps_complete = [], True
        return True

    def _retry(self) -> None:
        if self.send(self._held):
            self.subscriber.resume()


def _pyzmq() -> Any:
    try:
        return import_module("zmq")
    except ImportError:
        raise ConfigError("outlet.type: pyzmq is not installed; pip install 'headwater[zmq]'") from None
