"""What `kill -9` costs: how far back the frames go that were put and neither arrived nor are on disk."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from gateway.account import IntervalSet
from gateway.device.outbox import Durability, Outbox, OutboxSettings, Record
from tests.bench.report import RESULTS, Report
from tests.bench.wear import MODES

KILLS = 10
PERIOD_S = 0.01
"""A batch of one frame each."""
ACKNOWLEDGED_AFTER_S = 0.05


def benchmark(runs: int) -> Report:
    """A device is killed at a random moment, and its outbox opened again; the worst and the mean of the kills."""
    report = Report("Crash: age of the oldest frame that a kill -9 costs", ("worst ms", "mean ms"))
    for mode, (durability, away) in MODES.items():
        report.add(mode, [_kill_often(durability, away=away, seed=run) for run in range(runs)])
    report.notes = [
        f"{KILLS} kills, 1 to 4 s after the start; acknowledged after {ACKNOWLEDGED_AFTER_S * 1000:g} ms.",
        "Commits end with fsync: a power cut costs no more, if the disk keeps its word.",
    ]
    return report


def _kill_often(durability: Durability, *, away: bool, seed: int) -> Mapping[str, float]:
    choose = random.Random(seed)
    ages = [_kill(durability, away=away, after_s=choose.uniform(1.0, 4.0)) for _ in range(KILLS)]
    return {"worst ms": max(ages) * 1000, "mean ms": sum(ages) / KILLS * 1000}


def _kill(durability: Durability, *, away: bool, after_s: float) -> float:
    """Seconds between the oldest lost frame and the kill; 0 if none is lost."""
    with tempfile.TemporaryDirectory(dir=RESULTS) as directory:
        command = [sys.executable, "-m", "tests.bench.crash", durability, str(int(away)), directory]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as device:
            assert device.stdout is not None
            device.stdout.readline()
            time.sleep(after_s)
            killed = time.monotonic()
            device.send_signal(signal.SIGKILL)
            lines = device.stdout.read().splitlines()
        outbox = Outbox(OutboxSettings(directory=Path(directory), durability=durability))
        outbox.step()
        safe = IntervalSet(part for known in outbox.previous(0) or [] for part in known.backlog)
        outbox.close()
    put: dict[int, float] = {}
    for line in lines:
        word, index, at = line.split()
        if word == b"arrived":
            safe.add(int(index), int(index) + 1)
        else:
            put[int(index)] = float(at)
    return max((killed - at for index, at in put.items() if index not in safe), default=0.0)


def device(durability: Durability, away: bool, directory: Path) -> None:
    """Acquire and send until the end."""
    outbox = Outbox(OutboxSettings(directory=directory, durability=durability))
    outbox.start()
    outbox.previous()
    if not away:
        outbox.connected()
    on_the_way: deque[tuple[float, int, int]] = deque()
    os.write(1, b"up\n")
    index = 0
    while True:
        now = time.monotonic()
        outbox.put(Record("ecg", 1, index, 1, bytes(500)))
        os.write(1, b"put %d %f\n" % (index, now))
        index += 1
        while (sending := outbox.take()) is not None:
            on_the_way.append((now + ACKNOWLEDGED_AFTER_S, sending.token, sending.record.index))
        while on_the_way and on_the_way[0][0] <= now:
            _, token, arrived = on_the_way.popleft()
            os.write(1, b"arrived %d 0\n" % arrived)
            outbox.ack(token)
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    device(cast(Durability, sys.argv[1]), sys.argv[2] == "1", Path(sys.argv[3]))
