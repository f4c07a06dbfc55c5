"""The outbox beside the storages of the ThingsBoard IoT gateway: records a second and bytes written."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path

from tests.bench.report import RESULTS, Report

THINGSBOARD = ("thingsboard-gateway==3.8.5", "pybase64==1.5.1", "simplejson==4.3.0")
"""The gateway alone, and the two packages that its storages import."""

PAYLOAD_BYTES = 640
"""As 50 frames of 2 channels have in JSON: ThingsBoard's storages take text."""

Figures = Mapping[str, float]


def benchmark(runs: int) -> Report:
    """Put while nobody reads, then drain; each run in a new process and directory on the disk of the checkout."""
    columns = ("put rec/s", "drain rec/s", "CPU us/rec", "written B/rec")
    report = Report(f"Outbox: records of {PAYLOAD_BYTES} bytes", columns)
    python = thingsboard()
    subjects: dict[str, tuple[int, list[str]]] = {
        "ThingsBoard file, as it is [kill -9]": (20_000, theirs(python, "file", 0)),
        "ThingsBoard file + fsync each 100 [power cut, less 100]": (20_000, theirs(python, "file", 100)),
        "ThingsBoard file + fsync [power cut]": (2_000, theirs(python, "file", 1)),
        "ThingsBoard SQLite, as it is [kill -9, less 0.2 s]": (20_000, theirs(python, "sqlite", 0)),
        "Headwater spill, broker there [memory]": (20_000, ours("spill", away=False)),
        "Headwater spill, broker away [power cut, less 1.5 s]": (20_000, ours("spill", away=True)),
        "Headwater always [power cut]": (20_000, ours("always", away=True)),
    }
    for subject, (records, command) in subjects.items():
        report.add(subject, [run(command, records) for _ in range(runs)])
    rates = {subject: figures["put rec/s"] for subject, figures in report.rows}
    ratio = rates["Headwater always [power cut]"] / rates["ThingsBoard file + fsync [power cut]"]
    report.notes = [
        f"Each record safe from a power cut: {ratio:.1f} times the rate of ThingsBoard's file storage.",
        "In brackets: what a record survives once put (or the flush after it) has returned.",
        "ThingsBoard's file storage never calls fsync, whatever max_records_between_fsync says: the rows with",
        "fsync call it from outside. It has one data file: with two it handed out 11 000 of 20 000 and no more.",
        "Headwater commits in groups, by a thread of its own, with fsync; the rate counts until all is on disk.",
        "The broker is an acknowledgement at once, in both. Written: /proc/PID/io over put and drain, without",
        f"the file system's journal. Medians of {runs} runs.",
    ]
    return report


def ours(durability: str, *, away: bool) -> list[str]:
    """Command of our subject, before the number of records."""
    return [sys.executable, "-m", "tests.bench.outbox_subject", durability, str(int(away))]


def theirs(python: Path, kind: str, fsync_every: int) -> list[str]:
    """Command of theirs; `{}` is the number of records."""
    script = Path(__file__).with_name("thingsboard_storage.py")
    return [str(python), str(script), kind, "{}", str(fsync_every)]


def run(command: list[str], records: int) -> Figures:
    """One process in a directory of its own."""
    with tempfile.TemporaryDirectory(dir=RESULTS, ignore_cleanup_errors=True) as directory:
        filled = [part.format(records) for part in command] if "{}" in command else [*command, str(records)]
        done = subprocess.run(
            [*filled, str(PAYLOAD_BYTES), directory], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    figures: dict[str, float] = json.loads(done.stdout)
    measured = {
        "put rec/s": records / figures["put_s"],
        "CPU us/rec": figures["cpu_s"] / records * 1e6,
        "written B/rec": figures["written"] / records,
    }
    if "drain_s" in figures:
        measured["drain rec/s"] = records / figures["drain_s"]
    return measured


def thingsboard() -> Path:
    """The Python of an environment with ThingsBoard's gateway, made if it is not there."""
    RESULTS.mkdir(exist_ok=True)
    environment = RESULTS / "thingsboard"
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *THINGSBOARD], check=True)
    return python.absolute()
