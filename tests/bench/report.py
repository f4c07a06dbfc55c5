"""What every benchmark says: the figures, the machine they were measured on, and what is uneven about them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path("bench-results")


@dataclass(slots=True)
class Report:
    """One benchmark's outcome: a table with a row for each subject."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, Mapping[str, float]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader has to know to compare the rows."""

    def add(self, subject: str, runs: Sequence[Mapping[str, float]]) -> None:
        """A row of the medians of several runs."""
        self.rows.append((subject, {key: statistics.median(run[key] for run in runs) for key in runs[0]}))

    def print(self) -> None:
        """The table and the notes."""
        print(f"\n{self.title}")
        width = max(len(subject) for subject, _ in self.rows)
        widths = [max(len(column), 10) for column in self.columns]
        print(" " * width, *(f"{column:>{size}}" for column, size in zip(self.columns, widths, strict=True)))
        for subject, figures in self.rows:
            cells = [_cell(figures.get(column)) for column in self.columns]
            print(f"{subject:{width}}", *(f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True)))
        for note in self.notes:
            print(f"  {note}")


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


Benchmark = Callable[..., Report]
"""Runs with so many repetitions; some take `seconds` too."""


def machine() -> dict[str, Any]:
    """Processor, memory, kernel and versions: no figure means anything without them."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "mosquitto": _mosquitto(),
        **{name: _version(name) for name in ("headwater", "numpy", "paho-mqtt", "cbor2", "aiohttp")},
    }


def save(name: str, report: Report, about: dict[str, Any]) -> Path:
    """Write the report as JSON; where."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": about, **asdict(report)}, indent=2) + "\n", encoding="utf-8")
    return path


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _mosquitto() -> str:
    words = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.split()
    return words[2] if len(words) > 2 else "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
