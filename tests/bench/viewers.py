"""100 viewers of 200 kS/s through a real relay: envelopes 30 times a second, against all samples to each.

`python -m tests.bench.viewers PORT COUNT JSON` is the viewers: they ask for what JSON says and count bytes.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from gateway.codec import CODECS
from gateway.model import Batch
from tests.bench.greetings import FLAVOURS, masked
from tests.bench.publishers import EPOCH, STREAM, MqttPublisher
from tests.bench.report import Report
from tests.bench.serving import HEADWATER_UVLOOP, Served, serving

CHANNELS, RATE, REFRESHES = 8, 25_000, 30
FRAMES = RATE // REFRESHES
VIEWERS = 100
SECONDS = 8.0
WARM_S = 3.0
ENVELOPE = {"seconds": 2, "width": 1000, "rate": REFRESHES}
TEXT = 1


class Samples(MqttPublisher):
    """200 000 samples a second in 30 batches."""

    def send_next(self) -> None:
        data = np.random.default_rng(self.count % 7).integers(-2000, 2000, (FRAMES, CHANNELS)).astype("<i2")
        index = self.count * FRAMES
        batch = Batch(EPOCH, index, index * 1_000_000_000 // RATE, 1 << 40, data, Fraction(RATE))
        self.send(CODECS["cbor"].encode(batch))
        self.count += 1


def benchmark(runs: int) -> Report:
    """CPU of the relay, and what it sends, over some seconds of stream."""
    report = Report(
        f"Viewers: {VIEWERS} of {CHANNELS} ch x {RATE} Hz, {REFRESHES} refreshes/s",
        ("CPU %", "MB/s", "messages/s"),
    )
    report.add("nobody", [_run(None) for _ in range(runs)])
    report.add(f"envelope, {ENVELOPE['width']} pixels", [_run({"envelope": ENVELOPE}) for _ in range(runs)])
    report.add("all samples", [_run({}) for _ in range(runs)])
    report.notes = [
        f"Medians of {runs} runs of {SECONDS:g} s; all viewers ask for the same; uvloop; history on disk.",
        "CPU of the relay's process by the operating system, taking the messages in included.",
    ]
    return report


def _run(wish: Mapping[str, Any] | None) -> Mapping[str, float]:
    with serving(HEADWATER_UVLOOP, FRAMES, publisher=Samples) as served:
        served.publisher.run(REFRESHES, WARM_S)
        watching = _watch(served, wish) if wish is not None else None
        try:
            begin, cpu = _counted(watching), served.server.cpu_s()
            served.publisher.run(REFRESHES, SECONDS)
            used, end = served.server.cpu_s() - cpu, _counted(watching)
        finally:
            if watching is not None:
                watching.kill()
                watching.wait()
    size, messages = (after - before for before, after in zip(begin, end, strict=True))
    return {"CPU %": 100 * used / SECONDS, "MB/s": size / 1e6 / SECONDS, "messages/s": messages / SECONDS}


def _watch(served: Served, wish: Mapping[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.viewers", str(served.port), str(VIEWERS), json.dumps(wish)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _counted(watching: subprocess.Popen[str] | None) -> tuple[int, int]:
    if watching is None:
        return 0, 0
    assert watching.stdin is not None
    assert watching.stdout is not None
    watching.stdin.write("report\n")
    watching.stdin.flush()
    size, messages = watching.stdout.readline().split()
    return int(size), int(messages)


def main() -> None:
    """Connect, ask, count bytes and what begins like a long binary frame; a line with both for each line read."""
    port, count, wish = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    command = json.dumps({"type": "subscribe", "stream": STREAM, **wish}, separators=(",", ":")).encode()
    poll, sockets = select.epoll(), dict[int, socket.socket]()
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        FLAVOURS["websocket"].greet(client, STREAM)
        client.sendall(masked(TEXT, command))
        sockets[client.fileno()] = client
        poll.register(client.fileno(), select.EPOLLIN)
    time.sleep(0.5)
    print("ready", flush=True)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    size = messages = 0
    while True:
        for handle, _ in poll.poll():
            if handle == sys.stdin.fileno():
                if not sys.stdin.readline():
                    return
                print(size, messages, flush=True)
                continue
            data = sockets[handle].recv(1 << 20)
            size += len(data)
            messages += data.count(b"\x82\x7e") + data.count(b"\x82\x7f\x00\x00")


if __name__ == "__main__":
    main()
