"""One stream to 100 subscribers: the relay against the brokers and libraries that do such things.

The same messages, each server a process of its own, CPU from the operating system. Servers written in Python take
the messages from mosquitto through paho, as the relay does; mosquitto and nats-server get them directly.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.codec import CODECS
from gateway.model import Batch
from tests.bench.processes import Part, free_port, peers_python
from tests.bench.report import Report

SUBSCRIBERS = 100
RATE = 100
SECONDS = 6.0
STREAM = "bench/load"
TOPIC = "headwater/bench/stream/load/batch"
SIZE = 536
FRAMES = 116
"""So many frames of two int16 make SIZE bytes with the header."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A server and how its clients talk."""

    name: str
    kind: str
    flavour: str
    loop: str = "asyncio"


SUBJECTS = (
    Subject("bare writer", "bare", "websocket"),
    Subject("headwater", "headwater", "websocket"),
    Subject("aiohttp", "aiohttp", "websocket"),
    Subject("websockets", "websockets", "websocket"),
    Subject("bare writer, uvloop", "bare", "websocket", "uvloop"),
    Subject("headwater, uvloop", "headwater", "websocket", "uvloop"),
    Subject("picows, uvloop", "picows", "websocket", "uvloop"),
    Subject("mosquitto, MQTT", "mosquitto", "mqtt"),
    Subject("mosquitto, WebSocket", "mosquitto", "mqtt-websocket"),
    Subject("nats-server", "nats", "nats"),
)


def benchmark(runs: int) -> Report:
    """CPU for each delivery and the time from publishing to arrival."""
    report = Report(
        f"Fan-out: {SUBSCRIBERS} subscribers x {RATE} messages/s x {SIZE} B",
        ("us/delivery", "x bare", "p50 ms", "p99 ms", "arrived %"),
    )
    subjects = [subject for subject in SUBJECTS if _available(subject, report)]
    figures: dict[str, list[Mapping[str, float]]] = {subject.name: [] for subject in subjects}
    for _ in range(runs):
        bare: dict[str, float] = {}
        for subject in subjects:
            run = _run(subject)
            if subject.kind == "bare":
                bare[subject.loop] = run["us/delivery"]
            figures[subject.name].append({**run, "x bare": run["us/delivery"] / bare[subject.loop]})
    for subject in subjects:
        report.add(subject.name, figures[subject.name])
    report.notes += [
        f"Medians of {runs} runs of {SECONDS:g} s, one server after the other in each run.",
        "CPU of the server process, user and system, with all it does: taking the messages in, and fanning out.",
        "Servers in Python take the messages from mosquitto through paho; mosquitto and nats-server get them from",
        "the publisher itself. bare: one frame made once and transport.write for each client, and nothing else.",
        "Only headwater decodes, accounts for frames, keeps history and has a bound for each subscriber.",
    ]
    return report


def _available(subject: Subject, report: Report) -> bool:
    if subject.kind == "nats" and shutil.which("nats-server") is None:
        report.notes.append("nats-server is not installed here (Debian: apt-get install nats-server)")
        return False
    return True


def _run(subject: Subject) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        mqtt, port = free_port(), free_port()
        if subject.kind == "nats":
            server = stack.enter_context(Part("nats-server", "-a", "127.0.0.1", "-p", str(port)))
            publisher: Publisher = NatsPublisher()
            source = port
        else:
            source = mqtt
            over_websocket = subject.flavour == "mqtt-websocket"
            broker = stack.enter_context(_mosquitto(folder, mqtt, port, websocket=over_websocket))
            broker.wait_for_port(mqtt)
            publisher = MqttPublisher()
            server = broker if subject.kind == "mosquitto" else stack.enter_context(_server(subject, mqtt, port))
        if subject.flavour == "mqtt":
            port = mqtt
        server.wait_for_port(port)
        publisher.connect(source)
        publisher.send(message(0))
        return _measure(subject, server, publisher, port)


def _mosquitto(folder: str, mqtt: int, port: int, *, websocket: bool) -> Part:
    config = Path(folder) / "mosquitto.conf"
    text = f"listener {mqtt} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
    if websocket:
        text += f"listener {port} 127.0.0.1\nprotocol websockets\n"
    config.write_text(text, encoding="utf-8")
    return Part("mosquitto", "-c", str(config))


def _server(subject: Subject, mqtt: int, port: int) -> Part:
    if subject.kind == "headwater":
        return Part(
            *(sys.executable, "-m", "gateway", "relay"),
            *("--set", f"mqtt.url=mqtt://127.0.0.1:{mqtt}"),
            *("--set", f"relay.listen=127.0.0.1:{port}"),
            *("--set", f"relay.loop={subject.loop}"),
        )
    script = Path(__file__).parent / "peers" / "server.py"
    return Part(peers_python(), str(script), subject.kind, subject.loop, str(mqtt), TOPIC, str(port))


def _measure(subject: Subject, server: Part, publisher: Publisher, port: int) -> Mapping[str, float]:
    topic = {"websocket": STREAM, "nats": NatsPublisher.SUBJECT}.get(subject.flavour, TOPIC)
    readers = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.bench.readers", subject.flavour, str(port), topic),
            *(str(SUBSCRIBERS), str(SIZE), str(message(0).index(TIME_MARK) + len(TIME_MARK))),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert readers.stdin is not None
    assert readers.stdout is not None
    try:
        if readers.stdout.readline() != "ready\n":
            raise RuntimeError(f"{subject.name}: the subscribers could not connect")
        before = server.cpu_s()
        count = publisher.run()
        time.sleep(0.3)
        used = server.cpu_s() - before
        readers.stdin.write("report\n")
        readers.stdin.flush()
        report = json.loads(readers.stdout.readline())
    finally:
        readers.kill()
        readers.wait()
    return {
        "us/delivery": 1e6 * used / max(1, report["deliveries"]),
        "p50 ms": report["p50_ms"],
        "p99 ms": report["p99_ms"],
        "arrived %": 100 * report["deliveries"] / (count * SUBSCRIBERS),
    }


TIME_MARK = b"at\x1b"
"""The key `t` after the end of the index, and the head of an eight-byte whole number."""
FIRST_INDEX = 100_000
"""Indices from here on have the same length in CBOR for a long time."""


def message(number: int) -> bytes:
    """The batch of that number, with the time of now."""
    now = time.time_ns()
    data = np.full((FRAMES, 2), 1234, "<i2")
    batch = Batch(1 << 33, FIRST_INDEX + number * FRAMES, now, 1 << 40, data, Fraction(1000), 100)
    return CODECS["cbor"].encode(batch)


class Publisher:
    """Sends RATE messages a second for SECONDS."""

    def connect(self, port: int) -> None:
        """Connect to the broker."""
        raise NotImplementedError

    def send(self, payload: bytes) -> None:
        """Send one message."""
        raise NotImplementedError

    def run(self) -> int:
        """Send them all; how many."""
        count = int(RATE * SECONDS)
        started = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, started + number / RATE - time.monotonic()))
            self.send(message(1 + number))
        return count


class MqttPublisher(Publisher):
    """QoS 1, as a device does."""

    def connect(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def send(self, payload: bytes) -> None:
        self._client.publish(TOPIC, payload, qos=1)


class NatsPublisher(Publisher):
    """The text protocol."""

    SUBJECT = "bench.load"

    def connect(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.recv(4096)
        self._socket.sendall(b'CONNECT {"verbose":false}\r\n')

    def send(self, payload: bytes) -> None:
        self._socket.sendall(f"PUB {self.SUBJECT} {len(payload)}\r\n".encode() + payload + b"\r\n")
