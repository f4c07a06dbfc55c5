"""A real broker, a real relay as a process of its own, and a device made by hand for the page to look at."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gateway.codec.cbor import CborCodec
from gateway.model import Batch, Gap, GapReason
from gateway.topics import Topics
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.processes import HeadwaterProcess

STREAM = "scope"
EPOCH = (3 << 32) | 0x5EED
NS = 1_000_000_000
START_S = 60.0
"""How long the relay may take to start on a busy machine."""

Wave = Callable[[int, int], NDArray[np.int16]]
"""The values of so many frames from an index on, shape (frames,)."""


def sine(first: int, count: int) -> NDArray[np.int16]:
    """200 frames a period, 1000 counts high."""
    values: NDArray[np.int16] = np.rint(1000 * np.sin(np.arange(first, first + count) * (2 * np.pi / 200))).astype(
        np.int16
    )
    return values


class Device:
    """A stream at a rate, whose frame `index` was taken at `start_ns` + index / rate.

    While it runs it sends again what it is asked for.
    """

    def __init__(self, peer: Peer, name: str, rate: int, channels: int, wave: Wave, start_ns: int) -> None:
        self.name = name
        self.rate = rate
        self.start_ns = start_ns
        self.end = 0
        """The index after the newest frame."""
        self._peer = peer
        self._answered = 0
        self._wave = wave
        self._channels = channels
        self._codec, self._topics = CborCodec(), Topics()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._announce()

    def utc_ns(self, index: int) -> int:
        """When a frame was taken."""
        return self.start_ns + index * NS // self.rate

    def index_at(self, utc_ns: int) -> int:
        """The first frame that is not earlier."""
        return -((self.start_ns - utc_ns) * self.rate // NS)

    def send(self, frames: int, batch: int) -> None:
        """The next frames, all at once; returns when the broker has them."""
        end = self.end + frames
        while self.end < end:
            self._send_batch(min(batch, end - self.end), wait=self.end + batch >= end)

    def lose(self, frames: int, reason: GapReason = "overrun") -> None:
        """Declare the next frames lost."""
        self._publish(self._codec.encode(Gap(EPOCH, self.end, frames, reason)), wait=True)
        self.end += frames

    def skip(self, frames: int) -> None:
        """Say nothing of the next frames."""
        self.end += frames

    def run(self, batch: int) -> None:
        """Go on in real time, until `stop`."""
        self._thread = threading.Thread(target=self._run, args=(batch,))
        self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, batch: int) -> None:
        while not self._stop.wait(max(0, self.utc_ns(self.end + batch) - time.time_ns()) / NS):
            self._send_batch(batch, wait=False)
            self._answer()

    def _answer(self) -> None:
        requests = self._peer.heard[self._answered :]
        self._answered += len(requests)
        for request in requests:
            if request.topic == self._topics.request(self.name, "resend"):
                for start, end in json.loads(request.payload)["ranges"]:
                    self._publish(self._batch(start, end - start), wait=False)

    def _send_batch(self, frames: int, *, wait: bool) -> None:
        self._publish(self._batch(self.end, frames), wait=wait)
        self.end += frames

    def _batch(self, index: int, frames: int) -> bytes:
        now = self.utc_ns(index)
        data = np.repeat(self._wave(index, frames).reshape(-1, 1), self._channels, axis=1)
        return self._codec.encode(Batch(EPOCH, index, now, now, data, Fraction(self.rate)))

    def _publish(self, payload: bytes, *, wait: bool) -> None:
        send = self._peer.publish if wait else self._peer.send
        send(self._topics.batch(self.name, STREAM), payload)

    def _announce(self) -> None:
        channels = [
            {"name": f"channel_{number}", "unit": "", "scale": 1.0, "offset": 0.0, "input": ""}
            for number in range(self._channels)
        ]
        meta: dict[str, Any] = {
            "v": 1,
            "revision": 1,
            "stream": STREAM,
            "rate": [self.rate, 1],
            "dtype": "int16",
            "codec": "cbor",
            "channels": channels,
        }
        self._peer.publish(self._topics.meta(self.name, STREAM), json.dumps(meta).encode(), retain=True)
        status = {"v": 1, "online": True, "epoch": EPOCH, "streams": [STREAM], "acquired": {}, "previous": []}
        self._peer.publish(self._topics.status(self.name), json.dumps(status).encode(), retain=True)


class Chain:
    """The broker and the relay; the relay may be killed and started again on its port, with its history."""

    def __init__(self, directory: Path, *settings: str) -> None:
        """`settings`: of the relay, as `--set` takes them."""
        self._directory = directory
        self._more_settings = settings
        self._stack = ExitStack()
        self._broker = Mosquitto(directory, quiet=True)
        self._devices: list[Device] = []
        self._port = free_port()
        self._history = directory / "history"

    @property
    def url(self) -> str:
        """The relay."""
        return f"http://127.0.0.1:{self._port}/"

    def page(self, device: Device) -> str:
        """The page with the device's stream."""
        return f"{self.url}#stream={device.name}/{STREAM}"

    def __enter__(self) -> Self:
        self._stack.enter_context(self._broker)
        self._peer = self._stack.enter_context(Peer(self._broker.port, "headwater/+/request/resend"))
        self.start_relay()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_devices()
        self._stack.close()

    def start_relay(self) -> None:
        """Returns when it hears what is published."""
        settings = (
            f"mqtt.url={self._broker.url}",
            f"relay.listen=127.0.0.1:{self._port}",
            f"history.directory={self._history}",
            *self._more_settings,
        )
        options = [option for setting in settings for option in ("--set", setting)]
        self.relay = self._stack.enter_context(HeadwaterProcess("relay", *options, state=self._directory))
        self.relay.wait_for("connected to", START_S)

    def forget_history(self) -> None:
        """While the relay does not run: what it has on disk is gone."""
        shutil.rmtree(self._history)

    def device(self, *, rate: int, seconds_ago: float = 0, channels: int = 1, wave: Wave = sine) -> Device:
        """Another device, whose first frame is that old."""
        name = f"bbb{len(self._devices) + 1}"
        device = Device(self._peer, name, rate, channels, wave, time.time_ns() - round(seconds_ago * NS))
        self._devices.append(device)
        return device

    def stop_devices(self) -> None:
        """None of them sends any more."""
        for device in self._devices:
            device.stop()
