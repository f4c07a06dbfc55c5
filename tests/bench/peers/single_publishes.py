"""paho-mqtt with one QoS 1 publish a value, or a frame, as fast as the broker acknowledges.

python -m tests.bench.peers.single_publishes value|frame PORT RECORDING SECONDS
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.peers.playback import SETTLE_S, Meter, tell

WINDOW = 64
"""As many unacknowledged publishes as Headwater allows itself."""


def publish_all(unit: str, port: int, path: Path, seconds: float) -> None:
    """Publish for so long, and print what that cost."""
    recording = np.load(path)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(WINDOW)
    room = threading.Semaphore(WINDOW)
    up = threading.Event()
    client.on_connect = lambda *_: up.set()
    client.on_publish = lambda *_: room.release()
    client.connect("127.0.0.1", port)
    client.loop_start()
    up.wait()

    per_message = 1 if unit == "value" else recording.shape[1]
    messages = _values(recording) if unit == "value" else _frames(recording)
    sent = 0
    meter: Meter | None = None
    begin = time.monotonic()
    while (now := time.monotonic()) < begin + SETTLE_S + seconds:
        if meter is None and now >= begin + SETTLE_S:
            meter = Meter(sent, per_message)
        room.acquire()
        topic, value = next(messages)
        client.publish(topic, json.dumps({"t": time.time_ns(), "v": value}, separators=(",", ":")), qos=1)
        sent += 1
    assert meter is not None
    for _ in range(WINDOW):
        room.acquire()  # until all are acknowledged
    tell({**meter.read(sent), "frames": sent})
    client.disconnect()
    client.loop_stop()


def _values(recording: Any) -> Iterator[tuple[str, int]]:
    while True:
        for frame in recording.tolist():
            for channel, value in enumerate(frame):
                yield f"bench/load/c{channel}", value


def _frames(recording: Any) -> Iterator[tuple[str, list[int]]]:
    while True:
        for frame in recording.tolist():
            yield "bench/load", frame


if __name__ == "__main__":
    publish_all(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
