"""Buffered capture at the AM335x converter's limit, from a stand-in device that another process feeds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from boards.base import Channel, SourceRequest
from boards.iio import IioBoard
from tests.bench.report import Report
from tests.standin.iio_tree import Feeder, am335x_tree, frame_numbers

SECONDS = 8.0
CHUNK = "64"
"""Frames that the stand-in hands over at once."""

LOADS = {
    "8 ch x 25 kHz, 100 ms blocks": (8, 25_000, 2500),
    "8 ch x 25 kHz, 20 ms blocks": (8, 25_000, 500),
    "2 ch x 100 kHz, 100 ms blocks": (2, 100_000, 10_000),
}


def benchmark(runs: int) -> Report:
    """What of the frames that the converter made was read, and at what CPU."""
    columns = ("samples/s", "declared lost", "undeclared", "refused", "CPU us/k")
    report = Report("IIO: buffered capture from a stand-in of the AM335x's converter", columns)
    for name, (channels, rate, block) in LOADS.items():
        report.add(name, [_run(channels, rate, block) for _ in range(runs)])
    report.notes = [
        f"Medians of {runs} runs of {SECONDS:g} s. A FIFO is the character device, and plain files are sysfs.",
        "declared lost: frames that the source said were lost. undeclared: those that are missing without that,",
        "by the numbers that the converter puts into them. refused: frames for which the buffer had no room.",
        "CPU us/k: microseconds of the reading process's CPU for 1 000 samples; another one is the converter.",
    ]
    return report


def _run(channels: int, rate: int, block_frames: int) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        tree = am335x_tree(Path(folder))
        with Feeder(tree, rate, CHUNK) as feeder:
            inputs = tuple(Channel(f"c{line}", f"voltage{line}") for line in range(channels))
            request = SourceRequest(inputs, Fraction(rate), block_frames)
            figures = _measure(IioBoard(tree.options), request)
            counts = feeder.stop()
    return {**figures, "refused": counts["refused"]}


def _measure(board: IioBoard, request: SourceRequest) -> Mapping[str, float]:
    acquired = lost = undeclared = 0
    newest: int | None = None
    with board.open_source(request) as source:
        source.read()  # the rate is known from here on
        began, cpu = time.monotonic(), time.process_time()
        while (took := time.monotonic() - began) < SECONDS:
            block = source.read()
            acquired += len(block.frames)
            lost += block.lost
            if len(block.frames):
                numbers = frame_numbers(block.frames)
                gap = 0 if newest is None else int(numbers[0]) - newest - 1
                undeclared += abs(gap - block.lost) + int(np.count_nonzero(np.diff(numbers) != 1))
                newest = int(numbers[-1])
        used = time.process_time() - cpu
    samples = acquired * len(request.channels)
    return {
        "samples/s": samples / took,
        "declared lost": lost,
        "undeclared": undeclared,
        "CPU us/k": 1e9 * used / max(1, samples),
    }
