"""A bare paho publisher: what one MQTT hop takes, without anything of ours.

    python -m tests.bench.hop PORT PAYLOAD_BYTES PERIOD_MS SECONDS

publishes with QoS 1, half a period beside the grid that a recorded board keeps to; the payload begins with when it
was due, on CLOCK_MONOTONIC in ns, little-endian.
"""

from __future__ import annotations

import struct
import sys
import threading
import time

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.listener import HOP


def publish(port: int, size: int, period_ns: int, seconds: float) -> None:
    """Publish at each due time; the network work is done in paho's own thread."""
    up = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_connect = lambda *_: up.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    up.wait()
    due_ns = time.monotonic_ns() // period_ns * period_ns + period_ns // 2
    for _ in range(int(seconds * 1e9 / period_ns)):
        due_ns += period_ns
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        client.publish(HOP, struct.pack("<q", due_ns).ljust(size, b"\0"), qos=1)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    publish(int(sys.argv[1]), int(sys.argv[2]), int(float(sys.argv[3]) * 1e6), float(sys.argv[4]))
