"""A Lab Streaming Layer outlet, or the inlet it sends to.

    python -m tests.bench.peers.lsl outlet RECORDING RATE BLOCK_FRAMES SECONDS
    python -m tests.bench.peers.lsl inlet

`LSLAPICFG` names a configuration that keeps both on this machine.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pylsl

from tests.bench.peers.playback import Frames, load_playback, play, tell

NAME = "headwater-bench"
PATIENCE_S = 20.0
END_S = 3.0
"""An inlet that got nothing for so long is done."""


def outlet(path: Path, rate: int, block_frames: int, seconds: float) -> None:
    """Push chunks as arrays, which is pylsl's fast way; LSL stamps them and deduces each frame's time."""
    channels = np.load(path, mmap_mode="r").shape[1]
    info = pylsl.StreamInfo(NAME, "load", channels, rate, pylsl.cf_int16, NAME)
    sender = pylsl.StreamOutlet(info)
    if not sender.wait_for_consumers(PATIENCE_S):
        raise SystemExit("no inlet came")

    def send(_: int, block: Frames) -> None:
        sender.push_chunk(block)

    play(load_playback(path, rate, block_frames), seconds, send)
    while sender.have_consumers():  # an outlet that ends takes its queue along
        time.sleep(0.1)


def inlet() -> None:
    """Count what comes."""
    found = pylsl.resolve_byprop("name", NAME, 1, PATIENCE_S)
    receiver = pylsl.StreamInlet(found[0], max_buflen=30, recover=False)
    receiver.open_stream(PATIENCE_S)
    space = np.empty((4096, found[0].channel_count()), np.int16)
    frames, got = 0, True
    while got or not frames:
        _, stamps = receiver.pull_chunk(timeout=END_S, max_samples=len(space), dest_obj=space, min_samples=1)
        got = bool(len(stamps))
        frames += len(stamps)
    tell({"first": 0, "frames": frames})


if __name__ == "__main__":
    if sys.argv[1] == "inlet":
        inlet()
    else:
        outlet(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
