"""What the outbox writes to an SD card in an hour, in each mode, at the load of an ECG."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from gateway.device.outbox import Durability, Outbox, OutboxSettings, Record
from tests.bench.report import RESULTS, Report
from tests.bench.thingsboard_storage import written_bytes

MINUTES = 10
STEP_NS = 100_000_000
"""A batch each 100 ms."""
PAYLOAD_BYTES = 841
"""50 frames of 8 channels of int16, in CBOR."""

MODES: dict[str, tuple[Durability, bool]] = {
    "spill, broker there": ("spill", False),
    "spill, broker away": ("spill", True),
    "always, broker there": ("always", False),
    "always, broker away": ("always", True),
}


def benchmark(runs: int) -> Report:
    """Ten minutes of acquisition by a clock of the benchmark's own: what is written does not depend on it."""
    columns = ("MiB/hour", "x payload", "TB/year")
    report = Report("Wear: one stream of 8 ch x 500 Hz in batches of 100 ms", columns)
    for mode, (durability, away) in MODES.items():
        report.add(mode, [_measure(durability, away=away) for _ in range(runs)])
    report.notes = [
        f"{MINUTES * 600} records of {PAYLOAD_BYTES} bytes, acknowledged within 100 ms if the broker is there.",
        "From /proc/PID/io: what the process had written, in pages of 4 KiB, without the file system's journal.",
    ]
    return report


def _measure(durability: Durability, *, away: bool) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(dir=RESULTS) as directory:
        command = [sys.executable, "-m", "tests.bench.wear", durability, str(int(away)), directory]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    per_hour = json.loads(done.stdout)["written"] * 60 / MINUTES
    return {
        "MiB/hour": per_hour / 2**20,
        "x payload": per_hour / (PAYLOAD_BYTES * 36_000),
        "TB/year": per_hour * 24 * 365 / 1e12,
    }


def subject(durability: Durability, away: bool, directory: Path) -> int:
    """Acquire for MINUTES by our own clock; returns the bytes written."""
    now_ns = 1_000_000_000
    outbox = Outbox(OutboxSettings(directory=directory, durability=durability), clock=lambda: now_ns)
    outbox.step()
    if not away:
        outbox.connected()
    before = written_bytes()
    for number in range(MINUTES * 600):
        outbox.put(Record("ecg", 1, number * 50, 50, bytes(PAYLOAD_BYTES)))
        outbox.step()
        now_ns += STEP_NS
        while (sending := outbox.take()) is not None:
            outbox.ack(sending.token)
    return written_bytes() - before


if __name__ == "__main__":
    print(json.dumps({"written": subject(cast(Durability, sys.argv[1]), sys.argv[2] == "1", Path(sys.argv[3]))}))
