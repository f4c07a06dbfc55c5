"""What buffered IIO capture costs: CPU of the reading thread per 1 000 samples at 8 x 25 kS/s, from the stand-in.

    python -m tests.bench.iio_capture [SECONDS]

prints one JSON object. The feeder is another process, and its CPU is not counted.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from boards import Channel, SourceRequest
from boards.iio import IioBoard
from tests.standin.iio_tree import Feeder, am335x_tree

RATE = 25_000
CHANNELS = 8


def measure(seconds: float) -> dict[str, float]:
    """Run a capture for so long."""
    with tempfile.TemporaryDirectory() as folder:
        tree = am335x_tree(Path(folder))
        channels = tuple(Channel(f"c{line}", f"voltage{line}") for line in range(CHANNELS))
        request = SourceRequest(channels, Fraction(RATE), RATE // 10)
        with Feeder(tree, RATE, "64") as feeder:
            with IioBoard(tree.options).open_source(request) as source:
                before, begin, frames, lost = resource.getrusage(resource.RUSAGE_THREAD), time.monotonic(), 0, 0
                while time.monotonic() < begin + seconds:
                    block = source.read()
                    frames += len(block.frames)
                    lost += block.lost
                after, took = resource.getrusage(resource.RUSAGE_THREAD), time.monotonic() - begin
            refused = feeder.stop()["refused"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    samples = frames * CHANNELS
    return {
        "samples_per_s": round(samples / took),
        "frames_lost": lost,
        "frames_refused_by_the_buffer": refused,
        "cpu_us_per_1000_samples": round(cpu * 1e9 / samples, 2),
        "cpu_percent": round(100 * cpu / took, 2),
    }


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]) if len(sys.argv) > 1 else 10)))
