"""One stream to 100 subscribers: the relay against the brokers and libraries that do such things.

All servers run at the same time and are measured in turn, a few seconds each, round after round: what else the
machine does then meets all of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack

from tests.bench.audience import Audience
from tests.bench.publishers import message
from tests.bench.report import Report
from tests.bench.serving import (
    BARE,
    BARE_UVLOOP,
    FLOOR,
    HEADWATER,
    HEADWATER_UVLOOP,
    MISSING,
    OUTER,
    Served,
    Subject,
    available,
    serving,
)

SUBSCRIBERS = 100
RATE = 100
SECONDS = 5.0
FRAMES = 116
SUBJECTS = (FLOOR, BARE, HEADWATER, BARE_UVLOOP, HEADWATER_UVLOOP, *OUTER)
COLUMNS = ("us/delivery", "x bare", "us/message", "p50 ms", "p99 ms", "p99 x bare", "arrived %")
LAST_S = 0.3
"""How long the last message may take to everybody."""


def benchmark(runs: int, *, seconds: float = SECONDS) -> Report:
    """CPU for each delivery, CPU for a message that nobody wants, and the time from publishing to arrival."""
    report = Report(
        f"Fan-out: {SUBSCRIBERS} subscribers x {RATE} messages/s x {len(message(0, FRAMES))} B", COLUMNS
    )
    subjects = [subject for subject in SUBJECTS if available(subject)]
    with ExitStack() as stack:
        served = [stack.enter_context(serving(subject, FRAMES)) for subject in subjects]
        time.sleep(1)
        alone = [[_alone(one, seconds) for one in served] for _ in range(runs)]
        audiences = [stack.enter_context(Audience(one, SUBSCRIBERS, FRAMES)) for one in served]
        rounds = [_round(served, audiences, seconds, number) for number in range(runs)]
    for number, subject in enumerate(subjects):
        figures = [
            {**_compared(subject, round_), "us/message": before[number]}
            for round_, before in zip(rounds, alone, strict=True)
        ]
        report.add(subject.name, figures)
    report.notes = [
        f"Medians of {runs} rounds; in each, every server is measured for {seconds:g} s, one after the other.",
        "CPU of the server process, user and system, with all it does: taking the messages in, and fanning out.",
        "us/message: the same while nobody is subscribed. x bare: against the bare writer on the same loop.",
        "Servers in Python take the messages from a mosquitto of their own, whose CPU is not counted, by paho in",
        "their loop (headwater reads a PUBLISH itself); mosquitto and nats-server get them from the publisher,",
        "without a hop between.",
        "bare: one frame made once and transport.write for each client, and nothing else; floor: without MQTT.",
        "Only headwater takes messages apart, accounts for frames, keeps them in memory and on disk, and has a",
        "bound for each subscriber; its configuration is the default.",
        *([] if len(subjects) == len(SUBJECTS) else [MISSING]),
    ]
    return report


def _alone(served: Served, seconds: float) -> float:
    """CPU in us for each message while nobody is subscribed."""
    before = served.server.cpu_s()
    count = served.publisher.run(RATE, seconds)
    time.sleep(LAST_S)
    return 1e6 * (served.server.cpu_s() - before) / count


def _round(
    served: list[Served], audiences: list[Audience], seconds: float, number: int
) -> dict[Subject, dict[str, float]]:
    """Every server once, beginning with another one each time."""
    order = list(zip(served, audiences, strict=True))
    start = number * 5 % len(order)
    return {one.subject: _measured(one, audience, seconds) for one, audience in order[start:] + order[:start]}


def _measured(served: Served, audience: Audience, seconds: float) -> dict[str, float]:
    audience.begin()
    before = served.server.cpu_s()
    count = served.publisher.run(RATE, seconds)
    time.sleep(LAST_S)
    used = served.server.cpu_s() - before
    report = audience.report()
    return {
        "us/delivery": 1e6 * used / max(1, report["deliveries"]),
        "p50 ms": report["p50_ms"],
        "p99 ms": report["p99_ms"],
        "arrived %": 100 * report["deliveries"] / (count * SUBSCRIBERS),
    }


def _compared(subject: Subject, round_: Mapping[Subject, Mapping[str, float]]) -> dict[str, float]:
    """A subject's figures of one round, with what they are against the bare writer's."""
    mine, bare = round_[subject], round_[BARE_UVLOOP if subject.loop == "uvloop" else BARE]
    return {
        **mine,
        "x bare": mine["us/delivery"] / bare["us/delivery"],
        "p99 x bare": mine["p99 ms"] / bare["p99 ms"],
    }
