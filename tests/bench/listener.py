"""A bare subscriber that notes when each message came, and the figures that are made of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.codec import CODECS
from gateway.model import Batch, frame_offsets_ns
from tests.support.waiting import PATIENCE_S

BATCHES = "headwater/bench/stream/load/batch"
HOP = "bench/hop"

Arrival = tuple[int, bytes]
"""CLOCK_MONOTONIC ns, and the payload."""


class Listener:
    """Subscribed to the batches of `bench/load` and to the bare hop, with QoS 1, while the block lasts."""

    def __init__(self, port: int) -> None:
        self.arrivals: dict[str, list[Arrival]] = {BATCHES: [], HOP: []}
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        self._client.subscribe([(topic, 1) for topic in self.arrivals])
        assert self._subscribed.wait(PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def clear(self) -> None:
        """What came so far does not count."""
        self.arrivals = {topic: [] for topic in self.arrivals}

    def _take(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        self.arrivals[message.topic].append((time.monotonic_ns(), bytes(message.payload)))


def batches(arrivals: Sequence[Arrival]) -> list[tuple[int, Batch]]:
    """When each batch came; gaps are left out."""
    decoded = [(at_ns, CODECS["cbor"].decode(payload)) for at_ns, payload in arrivals]
    return [(at_ns, message) for at_ns, message in decoded if isinstance(message, Batch)]


def taken_ns(batch: Batch) -> int:
    """When the batch's newest frame was taken, on CLOCK_MONOTONIC: before that it cannot be sent."""
    assert batch.rate is not None
    return batch.monotonic_ns + int(frame_offsets_ns(batch.rate, batch.frames)[-1])


def percentiles_ms(latencies_ns: Sequence[int]) -> tuple[float, float]:
    """The 50th and the 99th."""
    half, most = np.percentile(np.asarray(latencies_ns) / 1e6, [50, 99])
    return float(half), float(most)
