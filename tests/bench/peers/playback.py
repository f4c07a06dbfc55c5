"""What every sender plays, at which pace, and what that cost. Needs numpy and nothing else."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NS = 1_000_000_000
SETTLE_S = 3.0
"""Played before the measurement begins: connections, caches, first allocations."""

Frames = NDArray[np.int16]


@dataclass(frozen=True)
class Playback:
    """A recording, shape (frames, channels), played block by block, round and round.

    It must be whole blocks long. Each block is due when its last frame is.
    """

    recording: Frames
    rate: int
    """Frames a second."""
    block_frames: int
    start_ns: int
    """When frame 0 is due, on CLOCK_MONOTONIC."""

    def due_ns(self, frame: int) -> int:
        """When a frame is due."""
        return self.start_ns + frame * NS // self.rate

    def block(self, number: int) -> Frames:
        """A view of the block of that number."""
        at = number * self.block_frames % len(self.recording)
        return self.recording[at : at + self.block_frames]

    def wait_for(self, number: int) -> None:
        """Sleep until the last frame of that block is due."""
        due_ns = self.due_ns((number + 1) * self.block_frames - 1)
        time.sleep(max(0, due_ns - time.monotonic_ns()) / NS)


def load_playback(path: Path, rate: int, block_frames: int) -> Playback:
    """The recording in the file, from now on."""
    return Playback(np.load(path), rate, block_frames, time.monotonic_ns())


class Meter:
    """What this process costs from `begin()` on."""

    def __init__(self, frames: int, channels: int) -> None:
        """So many frames were sent before."""
        print("begin", flush=True)
        self._frames, self._channels = frames, channels
        self._cpu_s, self._at = cpu_s(), time.monotonic()

    def read(self, frames: int) -> dict[str, float]:
        """`frames` were sent in all; samples, CPU and time since the beginning, resident memory now."""
        return {
            "samples": (frames - self._frames) * self._channels,
            "took_s": time.monotonic() - self._at,
            "cpu_s": cpu_s() - self._cpu_s,
            "rss_mib": rss_mib(),
        }


def play(playback: Playback, seconds: float, send: Callable[[int, Frames], None]) -> None:
    """Send each block at its time, and print what that cost as JSON; `send` takes the first frame's number."""
    blocks_a_second = playback.rate / playback.block_frames
    settled = round(SETTLE_S * blocks_a_second)
    blocks = settled + round(seconds * blocks_a_second)
    meter = Meter(0, 0)
    for number in range(blocks):
        if number == settled:
            meter = Meter(number * playback.block_frames, playback.recording.shape[1])
        playback.wait_for(number)
        send(number * playback.block_frames, playback.block(number))
    figures = meter.read(blocks * playback.block_frames)
    tell({**figures, "frames": blocks * playback.block_frames})


def tell(figures: dict[str, Any]) -> None:
    """One line of JSON for the benchmark."""
    print(json.dumps(figures), flush=True)


def cpu_s() -> float:
    """User and system time of all threads of this process so far, from the kernel."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
