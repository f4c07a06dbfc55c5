"""The device at the AM335x converter's limit, from board to PUBACK, beside others that send samples."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.peering import SENDERS, peers_python
from tests.bench.report import Report
from tests.bench.rig import (
    CHANNELS,
    cpu_s,
    device,
    device_config,
    outcome,
    process,
    quiet_broker,
    record,
    workplace,
)
from tests.support.ports import free_port
from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until

SECONDS = 60.0
RATE = 25_000
COLUMNS = ("us/k", "broker us/k", "samples/s", "RSS MiB", "lost frames", "declared")

LSL_CONFIG = """\
[ports]
IPv6 = disable
[multicast]
ResolveScope = machine
AddressesOverride = {127.0.0.1}
ListenAddress = 127.0.0.1
TTLOverride = 0
[lab]
KnownPeers = {127.0.0.1}
SessionID = headwater-bench
[log]
level = -2
"""
"""Found by its neighbours on the loopback interface alone; see labstreaminglayer.readthedocs.io/info/lslapicfg."""


@dataclass(frozen=True)
class Run:
    """One subject, once."""

    directory: Path
    recording: Path
    peers: Path
    """The Python of the peers."""
    seconds: float
    stack: ExitStack

    def start(self, module: str, *arguments: str, **environment: str) -> RunningProcess:
        """A peer's process, ended with the run."""
        return self.stack.enter_context(process(self.peers, module, *arguments, environment=environment))

    def figures(self, sender: RunningProcess, broker: int | None = None) -> dict[str, Any]:
        """What the sender says of itself, and what the broker cost meanwhile."""
        wait_until(lambda: "begin" in sender.out or not sender.running, f"{sender} to begin")
        before = cpu_s(broker) if broker else 0.0
        told = outcome(sender, self.seconds)
        told["broker_s"] = cpu_s(broker) - before if broker else 0.0
        return told


Subject = Callable[[Run], Mapping[str, float]]


def benchmark(runs: int, seconds: float = SECONDS) -> Report:
    """Each subject in turn, and all of them again: so a machine that is busy for a while is so for all."""
    peers = peers_python()
    subjects: dict[str, Subject] = {
        "Headwater, spill, 100 ms batches": lambda run: _headwater(run, "spill", 100),
        "Headwater, always, 100 ms batches": lambda run: _headwater(run, "always", 100),
        "LSL outlet, 100 ms chunks": lambda run: _lsl(run, 100),
        "mflow PUSH, 100 ms blocks": lambda run: _mflow(run, "push", "pull", 100),
        "mflow PUB, 100 ms blocks": lambda run: _mflow(run, "pub", "sub", 100),
        "Headwater, spill, 10 ms batches": lambda run: _headwater(run, "spill", 10),
        "Headwater, always, 10 ms batches": lambda run: _headwater(run, "always", 10),
        "LSL outlet, 10 ms chunks": lambda run: _lsl(run, 10),
        "mflow PUSH, 10 ms blocks": lambda run: _mflow(run, "push", "pull", 10),
        "paho, a QoS 1 publish a frame": lambda run: _single(run, "frame"),
        "paho, a QoS 1 publish a value": lambda run: _single(run, "value"),
    }
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in subjects}
    with workplace() as place:
        recording = record(place / "recording.npy", RATE)
        for number in range(runs):
            for name, subject in subjects.items():
                directory = place / f"{number}-{len(found[name])}-{abs(hash(name))}"
                directory.mkdir()
                with ExitStack() as stack:
                    found[name].append(subject(Run(directory, recording, peers, seconds, stack)))
    report = Report(f"Device: {CHANNELS} ch x {RATE:,} Hz of int16, {seconds:g} s", COLUMNS)
    for name, figures in found.items():
        report.add(name, figures)
    report.notes = _notes(runs)
    return report


def _headwater(run: Run, durability: str, batch_ms: int) -> Mapping[str, float]:
    broker = run.stack.enter_context(quiet_broker(run.directory))
    audit = run.stack.enter_context(
        process(sys.executable, "gateway", "audit", "bench/load", "--url", broker.url, "--json", "--until-stopped")
    )
    wait_until(lambda: "headwater/bench/stream/load/batch" in broker.log, f"{audit} to subscribe")
    config = device_config(run.directory, broker.port, run.recording, RATE, f"{batch_ms}ms", durability)
    told = run.figures(run.stack.enter_context(device(config, run.seconds)), broker.pid)
    audit.wait()
    epoch = next(iter(json.loads(audit.out)["epochs"].values()))
    if told["unsent"] or epoch["undeclared"]:
        raise AssertionError(f"not all was acknowledged: {told}, {epoch}")
    return _row(told, lost=told["frames"] - epoch["delivered"] - told["declared"], declared=told["declared"])


def _lsl(run: Run, block_ms: int) -> Mapping[str, float]:
    config = run.directory / "lsl_api.cfg"
    config.write_text(LSL_CONFIG, encoding="utf-8")
    module, where = "tests.bench.peers.lsl", {"LSLAPICFG": str(config)}
    sender = run.start(module, "outlet", *_what(run, block_ms), **where)
    told, came = _both(run, sender, run.start(module, "inlet", **where))
    return _row(told, lost=told["frames"] - came["frames"])


def _mflow(run: Run, mode: str, other: str, block_ms: int) -> Mapping[str, float]:
    module, port = "tests.bench.peers.mflow_stream", str(free_port())
    receiver = run.start(module, other, port)
    told, came = _both(run, run.start(module, mode, port, *_what(run, block_ms)), receiver)
    return _row(told, lost=told["frames"] - came["first"] - came["frames"])


def _single(run: Run, unit: str) -> Mapping[str, float]:
    broker = run.stack.enter_context(quiet_broker(run.directory))
    module = "tests.bench.peers.single_publishes"
    sender = run.start(module, unit, str(broker.port), str(run.recording), str(run.seconds))
    return _row(run.figures(sender, broker.pid), lost=0)


def _what(run: Run, block_ms: int) -> tuple[str, ...]:
    return str(run.recording), str(RATE), str(RATE * block_ms // 1000), str(run.seconds)


def _both(run: Run, sender: RunningProcess, receiver: RunningProcess) -> tuple[dict[str, Any], dict[str, Any]]:
    told = run.figures(sender)
    return told, outcome(receiver, 0)


def _row(told: Mapping[str, float], *, lost: float, declared: float = 0) -> Mapping[str, float]:
    per_thousand = 1e9 / told["samples"]
    return {
        "us/k": told["cpu_s"] * per_thousand,
        "broker us/k": told["broker_s"] * per_thousand,
        "samples/s": told["samples"] / told["took_s"],
        "RSS MiB": told["rss_mib"],
        "lost frames": lost,
        "declared": declared,
    }


def _notes(runs: int) -> list[str]:
    return [
        f"Medians of {runs} runs. us/k: us of CPU for 1 000 samples, in the whole of the sending process,",
        "from the kernel (getrusage). A sample is one value of one channel. RSS is that of the sending process.",
        "All play the same recording at the same pace to one receiver, but for paho's publishes: they have none,",
        "and go as fast as the broker acknowledges, 64 in flight; their samples/s is all they reach.",
        "Headwater numbers, stamps, keeps until PUBACK and accounts for each frame; `always` writes it first.",
        "LSL stamps each frame. LSL and mflow have no broker, no acknowledgement and nothing on disk: what their",
        "receiver misses is gone, and nobody says so. Lost: of what was sent since the receiver was there.",
        f"Beside {', '.join(SENDERS)}.",
    ]
