"""One subscriber stalls for a minute, among ten that read 1 000 messages/s of 4 KiB: whom it costs what."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.bench.audience import Audience
from tests.bench.processes import Part
from tests.bench.publishers import FIRST_INDEX, STREAM, MqttPublisher, message
from tests.bench.report import Report
from tests.bench.serving import (
    BARE_UVLOOP,
    HEADWATER_UVLOOP,
    MISSING,
    OUTER,
    Served,
    Subject,
    available,
    serving,
)
from tests.bench.straggler import SocketStraggler, Straggler, ZmqStraggler
from tests.support.ports import free_port
from tests.support.wires import Ledger

HEALTHY = 10
SECONDS = 60.0
WARM_S = 2.0
RETURN_S = 5.0
"""How long the one that stalled reads again, while messages go on."""
RATE, FRAMES = 1000, 1006
TEXT_RATE, TEXT_FRAMES = 100, 100
"""For lines of text: as many bytes a message, and what the relay's CPU allows."""
COLUMNS = ("grew MiB", "healthy %", "p99 ms", "came %", "declared %", "silent %", "behind s", "cut off")
SMALL_HISTORY = ("history.disk=0", "history.memory_bytes=1MiB")
"""So that what the relay keeps for others is not counted."""
OUTLET = f'[[outlet]]\nstream = "{STREAM}"\n'
OUTLETS = {
    "zmq": OUTLET + 'type = "zmq"\nmode = "push"\nbind = "tcp://127.0.0.1:{port}"\n',
    "tcp": OUTLET + 'type = "tcp"\nformat = "cbor"\nlisten = "127.0.0.1:{port}"\n',
}
"""By the way in which they talk; they have a port of their own."""
PUBLIC = f"/api/v1/streams/{STREAM}/live?format="


@dataclass(frozen=True, slots=True)
class Stall:
    """Where one subscriber of a server stalls."""

    name: str
    subject: Subject
    reading: str
    flavour: str | None = None
    """How the one that stalls talks, if not as the others."""
    topic: str | None = None
    rate: int = RATE
    frames: int = FRAMES
    events: bool = False
    """Whether it reads events, one with each message."""


OURS = (
    Stall("headwater, WebSocket", HEADWATER_UVLOOP, "websocket"),
    Stall("headwater, HTTP CBOR", HEADWATER_UVLOOP, "http-cbor", "http", f"{PUBLIC}cbor"),
    Stall("headwater, HTTP CSV", HEADWATER_UVLOOP, "http-csv", "http", f"{PUBLIC}csv", TEXT_RATE, TEXT_FRAMES),
    Stall("headwater, NDJSON", HEADWATER_UVLOOP, "http-ndjson", "http", f"{PUBLIC}ndjson", TEXT_RATE, TEXT_FRAMES),
    Stall("headwater, events", HEADWATER_UVLOOP, "http-events", "http", "/api/v1/events", events=True),
    Stall("headwater, TCP CBOR", HEADWATER_UVLOOP, "tcp-cbor", "tcp"),
    Stall("headwater, ZeroMQ PUSH", HEADWATER_UVLOOP, "mflow", "zmq"),
)
PEERS = tuple(Stall(subject.name, subject, subject.flavour) for subject in (BARE_UVLOOP, *OUTER))


def benchmark(runs: int, *, seconds: float = SECONDS) -> Report:
    """Memory, what the healthy get, and what the one that stalled is told when it reads again."""
    report = Report(
        f"Stalled: one subscriber reads nothing for {seconds:g} s, {HEALTHY} read {RATE} messages/s x "
        f"{len(message(0, FRAMES))} B",
        COLUMNS,
    )
    stalls = [stall for stall in (*OURS, *PEERS) if available(stall.subject)]
    figures: dict[str, list[Mapping[str, float]]] = {stall.name: [] for stall in stalls}
    for _ in range(runs):
        for stall in stalls:
            figures[stall.name].append(_run(stall, seconds))
            print(f"  {stall.name}: {figures[stall.name][-1]}", flush=True)
    for stall in stalls:
        report.add(stall.name, figures[stall.name])
    report.notes = [
        f"Medians of {runs} runs, one server after the other. grew: the most that the process grew (RSS), from",
        f"{WARM_S:g} s of messages on (ZeroMQ: from the first message on).",
        f"healthy %, p99 ms: what the worst served of the {HEALTHY} got, on WebSockets or what the server has.",
        f"Of what was sent since it subscribed, to the one that stalled and then reads for {RETURN_S:g} s",
        "(SO_RCVBUF 8 KiB): what came, what it was told is lost, what is missing without a word; how far behind",
        "the newest message it read was; whether it was cut off.",
        f"headwater: relay.queue is 4 MiB. Lines of text: {TEXT_RATE} messages/s of {TEXT_FRAMES} frames, 4 KiB.",
        "Libraries have the keep-alive that they have on their own; websockets' cuts off after 40 s.",
        *([] if len(stalls) == len(OURS) + len(PEERS) else [MISSING]),
    ]
    return report


class Growth:
    """The most that a process grew while the block lasts."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._before = self._most = part.memory_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def mib(self) -> float:
        """MiB."""
        return (self._most - self._before) / 2**20

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self._most = max(self._most, self._part.memory_bytes())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


class EventPublisher(MqttPublisher):
    """An event with each message, as long as that."""

    def send(self, payload: bytes) -> None:
        super().send(payload)
        content = json.dumps({"text": "x" * (len(payload) - 100)})
        self._client.publish("headwater/bench/event/load/made", content, qos=1)


def _run(stall: Stall, seconds: float) -> Mapping[str, float]:
    with ExitStack() as stack:
        port, flavour = free_port(), stall.flavour or stall.subject.flavour
        served = stack.enter_context(
            serving(
                stall.subject,
                stall.frames,
                *(SMALL_HISTORY if stall.subject is HEADWATER_UVLOOP else ()),
                outlet=OUTLETS[flavour].format(port=port) if flavour in OUTLETS else None,
                as_it_is=True,
                publisher=EventPublisher if stall.events else None,
            )
        )
        audience = stack.enter_context(Audience(served, HEALTHY, stall.frames))
        straggler: Straggler
        if flavour == "zmq":
            straggler = ZmqStraggler(f"tcp://127.0.0.1:{port}")
        else:
            served.publisher.run(stall.rate, WARM_S)
            time.sleep(0.5)
            where = port if flavour in OUTLETS else served.port
            straggler = SocketStraggler(flavour, where, stall.topic or served.topic, stall.reading)
        stack.callback(straggler.close)
        time.sleep(0.5)
        return _measured(stall, served, audience, straggler, seconds)


def _measured(
    stall: Stall, served: Served, audience: Audience, straggler: Straggler, seconds: float
) -> Mapping[str, float]:
    publisher, first = served.publisher, served.publisher.count
    audience.begin()
    with Growth(served.server) as growth:
        publisher.run(stall.rate, seconds)
        time.sleep(0.5)
        healthy = audience.report()
    reading = threading.Thread(target=straggler.read, args=(RETURN_S + 1,))
    reading.start()
    publisher.run(stall.rate, RETURN_S)
    reading.join()
    scale, start = (1, 0) if stall.events else (stall.frames, FIRST_INDEX + first * stall.frames)
    sent = (publisher.count - first) * scale + stall.events  # the first event tells of the broker
    ledger = Ledger(start).enter(straggler.told())
    return {
        "grew MiB": growth.mib,
        "healthy %": 100 * healthy["fewest"] / (seconds * stall.rate),
        "p99 ms": healthy["p99_ms"],
        "came %": 100 * ledger.came / sent,
        "declared %": 100 * ledger.declared / sent,
        "silent %": 100 * ledger.undeclared / sent,
        "behind s": (start + sent - ledger.next) / scale / stall.rate,
        "cut off": straggler.cut_off,
    }
