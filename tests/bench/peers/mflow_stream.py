"""An mflow sender of `array-1.0` messages, or the receiver it sends to.

python -m tests.bench.peers.mflow_stream push|pub PORT RECORDING RATE BLOCK_FRAMES SECONDS
python -m tests.bench.peers.mflow_stream pull|sub PORT
"""

from __future__ import annotations

import sys
from pathlib import Path

import mflow

from tests.bench.peers.playback import Frames, load_playback, play, tell

END_MS = 3000
"""A receiver that got nothing for so long is done."""


def send_all(mode: int, port: int, path: Path, rate: int, block_frames: int, seconds: float) -> None:
    """One message a block: a JSON header, then the array."""
    stream = mflow.connect(f"tcp://127.0.0.1:{port}", conn_type=mflow.BIND, mode=mode)

    def send(first: int, block: Frames) -> None:
        header = {
            "htype": "array-1.0",
            "shape": list(block.shape),
            "type": "int16",
            "frame": first,
            "endianness": "little",
        }
        stream.send(header, send_more=True, as_json=True)
        stream.send(block)

    play(load_playback(path, rate, block_frames), seconds, send)
    stream.disconnect()


def receive_all(mode: int, port: int) -> None:
    """Count what comes; a subscriber misses what was sent before it was there."""
    stream = mflow.connect(f"tcp://127.0.0.1:{port}", mode=mode, receive_timeout=END_MS)
    frames, first = 0, None
    while True:
        message = stream.receive()
        if message is None or message.data is None:
            if frames:
                break
            continue
        if first is None:
            first = message.data["header"]["frame"]
        frames += len(message.data["data"][0])
    tell({"first": first, "frames": frames})


if __name__ == "__main__":
    role, address = getattr(mflow, sys.argv[1].upper()), int(sys.argv[2])
    if role in (mflow.PULL, mflow.SUB):
        receive_all(role, address)
    else:
        send_all(role, address, Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
