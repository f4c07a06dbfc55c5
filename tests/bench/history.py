"""The history: what a late joiner waits for, what a batch costs, and how fast a relay is back."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from gateway.codec import CODECS
from gateway.model import Batch
from gateway.relay.history import DiskTier, HistoryLimits, StreamHistory
from tests.bench.report import Report

RATE, CHANNELS, BATCH = 1000, 8, 100
MINUTES = 60
START_NS = 1_700_000_000_000_000_000
NO_MEMORY = HistoryLimits(memory_bytes=0)
GOAL_MS = 200


def benchmark(runs: int) -> Report:
    """An hour of 8 ch x 1 kHz, in memory and on disk; the bytes of the last 30 s as they would go to a socket."""
    columns = ("30 s ms", "30 s MB", "add us", "add CPU us", "open ms", "MB")
    report = Report(f"History: {MINUTES} minutes of {CHANNELS} ch x {RATE} Hz, {BATCH} frames a batch", columns)
    report.add("in memory, 5 minutes of it", [_memory() for _ in range(runs)])
    disk = [_disk() for _ in range(runs)]
    report.add("on disk, closed before", [closed for closed, _ in disk])
    report.add("on disk, killed before", [killed for _, killed in disk])
    report.notes = [
        f"Medians of {runs} runs. 30 s: the bytes for a late joiner; the goal, to the client, is {GOAL_MS} ms.",
        "On disk nothing is in memory, and the files are in the page cache; what a checksum costs is included.",
        "Killed: the last segment has no index and is searched. Decoding and encoding are not included.",
    ]
    return report


def _batches() -> list[tuple[Batch, bytes]]:
    codec, rate = CODECS["cbor"], Fraction(RATE)
    made = []
    for index in range(0, MINUTES * 60 * RATE, BATCH):
        data = (np.arange(BATCH * CHANNELS) + index).astype(np.int16).reshape(BATCH, CHANNELS)
        batch = Batch(1, index, START_NS + index * 1_000_000_000 // RATE, 0, data, rate)
        made.append((batch, codec.encode(batch)))
    return made


def _fill(history: StreamHistory) -> Mapping[str, float]:
    batches = _batches()
    wall, cpu = time.perf_counter(), time.process_time()
    for batch, payload in batches:
        history.add(history.record_of(batch, payload, 0))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"add us": wall * 1e6 / len(batches), "add CPU us": cpu * 1e6 / len(batches)}


def _late_joiner(history: StreamHistory) -> Mapping[str, float]:
    end_ns = START_NS + MINUTES * 60 * 1_000_000_000
    begin = time.perf_counter()
    content = b"".join(excerpt.record.payload for excerpt in history.since_time(end_ns - 30 * 1_000_000_000))
    took = time.perf_counter() - begin
    assert len(content) > 30 * RATE * CHANNELS * 2
    return {"30 s ms": took * 1e3, "30 s MB": len(content) / 1e6}


def _memory() -> Mapping[str, float]:
    history = StreamHistory(HistoryLimits())
    cost = _fill(history)
    return {**cost, **_late_joiner(history), "MB": history.memory.bytes / 1e6}


def _disk() -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Opened after it was killed, and again after it was closed."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("HEADWATER_BENCH_DIRECTORY")) as folder:
        cost = _fill(StreamHistory(NO_MEMORY, DiskTier(Path(folder), 2 << 30)))
        killed, disk = _open(Path(folder))
        disk.close()
        closed, _ = _open(Path(folder))
        return {**cost, **closed}, {**cost, **killed}


def _open(folder: Path) -> tuple[Mapping[str, float], DiskTier]:
    begin = time.perf_counter()
    disk = DiskTier(folder, 2 << 30)
    took = time.perf_counter() - begin
    figures = {"open ms": took * 1e3, "MB": disk.bytes / 1e6}
    return {**figures, **_late_joiner(StreamHistory(NO_MEMORY, disk))}, disk
