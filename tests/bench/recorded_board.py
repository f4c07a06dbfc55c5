"""A board that plays a recording made beforehand, so that a benchmark measures the gateway and not a generator."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boards.base import Block, Board, Input, SampleSource, SourceRequest
from boards.registry import BOARDS
from tests.bench.peers.playback import NS, Frames, Playback

BUFFER_S = 1
"""What the board keeps for a slow reader; what is older is overrun."""

GRID_NS = 10_000_000
"""Frame 0 is due on a multiple of this, so that another sender can keep out of its way."""


class RecordedBoard(Board):
    """Options: `path` of a .npy file, frames x channels of int16."""

    name = "recorded"
    summary = "a recording at its own pace"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._recording: Frames = np.load(Path(self.options["path"]))

    def inputs(self) -> Sequence[Input]:
        """A column each."""
        return [Input(f"c{column}") for column in range(self._recording.shape[1])]

    def open_source(self, request: SourceRequest) -> SampleSource:
        """All columns."""
        return RecordedSource(request, self._recording)


class RecordedSource(SampleSource):
    """Blocks when their last frame is due, stamped with the time when their first one was."""

    def __init__(self, request: SourceRequest, recording: Frames) -> None:
        super().__init__(request)
        assert request.rate is not None
        self._rate = int(request.rate)
        self._recording = recording
        self._next = 0
        self._playback = Playback(recording, self._rate, request.block_frames, 0)

    def open(self) -> None:
        """Frame 0 is due at the next point of the grid."""
        start_ns = -(-time.monotonic_ns() // GRID_NS) * GRID_NS
        self._next = 0
        self._playback = Playback(self._recording, self._rate, self.request.block_frames, start_ns)

    def read(self) -> Block:
        """The next block, or the oldest that the buffer still has."""
        playback = self._playback
        size = playback.block_frames
        playback.wait_for(self._next)
        due = (time.monotonic_ns() - playback.start_ns) * self._rate // NS
        first = max(self._next, (due - BUFFER_S * self._rate) // size)
        lost, self._next = (first - self._next) * size, first + 1
        return Block(playback.block(first), playback.due_ns(first * size), lost)


def register() -> None:
    """Make it known to `board = "recorded"` in this process."""
    BOARDS[RecordedBoard.name] = (__name__, RecordedBoard.__name__)
