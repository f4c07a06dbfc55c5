"""1 000 connections that get nothing and 100 that get a stream: memory each, and CPU while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.audience import Audience
from tests.bench.report import Report
from tests.bench.serving import (
    BARE_UVLOOP,
    HEADWATER,
    HEADWATER_UVLOOP,
    MISSING,
    OUTER,
    Served,
    Subject,
    available,
    serving,
    topic_of,
)

IDLE, ACTIVE = 1000, 100
MANY = 10_000
RATE, FRAMES = 100, 116
WARM_S, QUIET_S, ACTIVE_S = 3.0, 5.0, 5.0
IDLE_STREAM = "bench/idle"
ROOM = ("relay.connections=20000", "relay.connections_per_address=20000")
SMALL_HISTORY = ("history.memory_bytes=1MiB", "history.disk=0")
COLUMNS = ("idle", "KiB each", "active KiB", "idle CPU %", "connect ms", "MiB in all", "arrived %")


@dataclass(frozen=True, slots=True)
class Crowd:
    """A server, and how many do nothing there."""

    subject: Subject
    idle: int = IDLE

    @property
    def name(self) -> str:
        """What it is called."""
        return self.subject.name if self.idle == IDLE else f"{self.subject.name}, {self.idle} idle"


CROWDS = (
    Crowd(HEADWATER_UVLOOP),
    Crowd(HEADWATER_UVLOOP, MANY),
    Crowd(HEADWATER),
    Crowd(BARE_UVLOOP),
    *(Crowd(subject) for subject in OUTER),
)


def benchmark(runs: int) -> Report:
    """Memory of a connection as the difference that many of them make."""
    report = Report(f"Idle: {IDLE} connections that get nothing, {ACTIVE} that get {RATE} messages/s", COLUMNS)
    crowds = [crowd for crowd in CROWDS if available(crowd.subject)]
    figures: dict[str, list[Mapping[str, float]]] = {crowd.name: [] for crowd in crowds}
    for _ in range(runs):
        for crowd in crowds:
            figures[crowd.name].append(_run(crowd))
            print(f"  {crowd.name}: {figures[crowd.name][-1]}", flush=True)
    for crowd in crowds:
        report.add(crowd.name, figures[crowd.name])
    report.notes = [
        f"Medians of {runs} runs, one server after the other, each warmed up with {WARM_S:g} s of messages.",
        "Memory is what the server has allocated; its code, and what the kernel keeps for a socket, is not in it.",
        "KiB each: of a connection that gets nothing. active KiB: of one more that gets the stream.",
        f"idle CPU: of one core, over {QUIET_S:g} s without a message. connect: time for each, 20 at a time.",
        *([] if len(crowds) == len(CROWDS) else [MISSING]),
    ]
    return report


def _run(crowd: Crowd) -> Mapping[str, float]:
    ours = (*ROOM, *SMALL_HISTORY) if crowd.subject.kind == "headwater" else ()
    with serving(crowd.subject, FRAMES, *ours) as served:
        with Audience(served, 1, FRAMES):
            served.publisher.run(RATE, WARM_S)
        time.sleep(1)
        return _measured(served, crowd.idle)


def _measured(served: Served, idle: int) -> Mapping[str, float]:
    before, started = served.server.own_memory_bytes(), time.monotonic()
    with Audience(served, idle, FRAMES, topic_of(served.subject, IDLE_STREAM)):
        connected_s = time.monotonic() - started
        used = served.server.cpu_s()
        time.sleep(QUIET_S)
        used = served.server.cpu_s() - used
        between = served.server.own_memory_bytes()
        with Audience(served, ACTIVE, FRAMES) as audience:
            audience.begin()
            sent = served.publisher.run(RATE, ACTIVE_S)
            time.sleep(0.5)
            arrived = audience.report()["deliveries"]
            after = served.server.own_memory_bytes()
    return {
        "idle": idle,
        "KiB each": (between - before) / 1024 / idle,
        "active KiB": (after - between) / 1024 / ACTIVE,
        "idle CPU %": 100 * used / QUIET_S,
        "connect ms": 1000 * connected_s / idle,
        "MiB in all": after / 2**20,
        "arrived %": 100 * arrived / (sent * ACTIVE),
    }
