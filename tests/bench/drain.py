"""After an outage: how fast the backlog goes, and what that does to live data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from gateway.account import IntervalSet
from tests.bench.listener import BATCHES, Listener, batches, percentiles_ms, taken_ns
from tests.bench.report import Report
from tests.bench.rig import device, device_config, quiet_broker, record, workplace
from tests.support.waiting import wait_until

SECONDS = 60.0
STEADY_S = 10.0
RATE = 1000
DRAIN_S = 30.0
"""Much longer than a backlog takes."""
ATTEMPTS = 3
COLUMNS = (
    "drain s",
    "records/s",
    "KiB/s",
    "x live",
    "live before p99 ms",
    "live in drain p50 ms",
    "p99 ms",
    "most ms",
)

SUBJECTS = {
    "spill, 100 ms batches": ("spill", "100ms"),
    "spill, 10 ms batches": ("spill", "10ms"),
    "always, 10 ms batches": ("always", "10ms"),
}


def benchmark(runs: int, seconds: float = SECONDS) -> Report:
    """`seconds` is the length of the outage."""
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in SUBJECTS}
    for _ in range(runs):
        for name, (durability, batch) in SUBJECTS.items():
            found[name].append(_attempt(seconds, durability, batch))
    report = Report(f"Drain: 8 ch x 1 kHz after {seconds:g} s without a broker", COLUMNS)
    for name, figures in found.items():
        report.add(name, figures)
    report.notes = [
        f"Medians of {runs} runs. From the first batch after the outage to the last that was taken before it;",
        "nothing may be missing. x live: records drained a second over records made a second.",
        "Live latency: from when a batch's newest frame was taken to a bare paho subscriber's callback.",
    ]
    return report


def _attempt(outage_s: float, durability: str, batch: str) -> Mapping[str, float]:
    """A run that the subscriber has seen whole: the device may be back at the broker before it."""
    for _ in range(ATTEMPTS):
        with workplace() as directory:
            figures = _run(directory, outage_s, durability, batch)
        if figures is not None:
            return figures
    raise AssertionError(f"{ATTEMPTS} times, the backlog did not come whole")


def _run(directory: Path, outage_s: float, durability: str, batch: str) -> Mapping[str, float] | None:
    """The figures, or None if something is missing."""
    recording = record(directory / "recording.npy", RATE)
    with ExitStack() as stack:
        broker = stack.enter_context(quiet_broker(directory))
        config = device_config(directory, broker.port, recording, RATE, batch, durability)
        running = stack.enter_context(device(config, 3600))
        wait_until(lambda: "begin" in running.out or not running.running, f"{running} to begin")
        with Listener(broker.port) as before:
            time.sleep(STEADY_S)
        steady = [at_ns - taken_ns(taken) for at_ns, taken in batches(before.arrivals[BATCHES])]
        broker.stop()
        time.sleep(outage_s)
        broker.start()
        with Listener(broker.port) as after:
            came = after.arrivals[BATCHES]
            wait_until(lambda: came, "the first batch after the outage", 60)
            deadline = time.monotonic() + DRAIN_S
            while not _drained(after) and time.monotonic() < deadline:
                time.sleep(0.5)
            if not _drained(after):
                return None
    arrivals = batches(list(came))
    up_ns = arrivals[0][0]
    backlog = [(at_ns, taken) for at_ns, taken in arrivals if taken_ns(taken) < up_ns]
    over_ns = max(at_ns for at_ns, _ in backlog)
    live = [at_ns - taken_ns(taken) for at_ns, taken in arrivals if taken_ns(taken) >= up_ns and at_ns <= over_ns]
    live = live or [at_ns - taken_ns(taken) for at_ns, taken in arrivals if taken_ns(taken) >= up_ns][:1]
    took_s = (over_ns - up_ns) / 1e9
    sizes = [len(payload) for at_ns, payload in came[: len(arrivals)] if at_ns <= over_ns]
    p50, p99 = percentiles_ms(live)
    rate = len(backlog) / took_s
    figures = (
        took_s,
        rate,
        sum(sizes) / took_s / 1024,
        rate / (RATE / backlog[0][1].frames),
        percentiles_ms(steady)[1],
        p50,
        p99,
        max(live) / 1e6,
    )
    return dict(zip(COLUMNS, figures, strict=True))


def _drained(listener: Listener) -> bool:
    """Whether all came between the first frame that was kept through the outage and the newest."""
    arrivals = batches(list(listener.arrivals[BATCHES]))
    there = IntervalSet((taken.index, taken.end) for _, taken in arrivals)
    up_ns = arrivals[0][0]
    return len(there) == 1 and any(taken_ns(taken) > up_ns for _, taken in arrivals)
