"""`python -m tests.bench [NAME …]`: run benchmarks, print their tables, write bench-results/NAME.json."""

from __future__ import annotations

import argparse
import signal
import sys
from importlib import import_module

from tests.bench.report import Benchmark, machine, save

TIMED = ("device", "latency", "drain", "fanout", "stalled")
"""Benchmarks that take as long as they are told to: `benchmark(runs, seconds=…)`."""

BENCHMARKS = {
    "device": "CPU and memory of the device at 8 x 25 kS/s, beside LSL, mflow and one publish a sample",
    "latency": "newest sample to subscriber beyond one bare MQTT hop, and through the relay's WebSocket",
    "drain": "how fast the backlog of an outage goes, and what it does to live data",
    "chain": "the whole way of a sample: CPU on the device side, samples/s to a WebSocket subscriber",
    "polled": "a polled source at 1 kHz: lateness with and without SCHED_FIFO, CPU",
    "fanout": "one stream to 100 subscribers, beside mosquitto, nats-server, picows, aiohttp, websockets",
    "idle": "memory of a connection, idle or active, beside the same servers",
    "stalled": "one subscriber that stalls among ten that do not, beside the same servers and at every outlet",
    "history": "30 s of 1 kHz x 8 ch handed to a late joiner, from memory and from disk",
    "joiner": "30 s of 1 kHz x 8 ch to a late joiner over a WebSocket, from memory and from disk",
    "viewers": "100 viewers of 200 kS/s through a relay: envelopes against all samples",
    "envelope": "what an envelope costs by itself, without sockets, against raw delivery",
    "iio": "buffered IIO at 200 kS/s from a stand-in device: losses, CPU",
    "outbox": "the outbox beside ThingsBoard's storages: records/s, CPU, bytes written",
    "wear": "bytes that the outbox writes to an SD card in an hour, by mode",
    "crash": "how old the oldest frame is that a kill -9 costs, by mode",
    "wire": "bytes a sample on the wire, by format",
}
"""Name to what it measures; the module is `tests.bench.<name>`, the function `benchmark`."""


def main() -> int:
    """Run what was asked for."""
    listing = "\n".join(f"  {name:8} {what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=…", epilog=listing, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], default=[], metavar="NAME")
    parser.add_argument("--runs", type=int, default=3, help="repetitions; the medians are printed (default 3)")
    parser.add_argument("--seconds", type=float, help=f"length of each run of {', '.join(TIMED)}")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whatever was started is ended
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    for name in options.names or BENCHMARKS:
        benchmark: Benchmark = import_module(f"tests.bench.{name}").benchmark
        length = {"seconds": options.seconds} if options.seconds and name in TIMED else {}
        report = benchmark(options.runs, **length)
        report.print()
        print(f"  written to {save(name, report, about)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
