"""From bytes and their times of arrival to blocks: all of a serial source that is not I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from boards.base import Block
from boards.serial.counters import Counters
from boards.serial.framers import Bad, Frame, Framer
from boards.serial.parsers import Parser, Refusal, Row
from boards.serial.wire import WireClock

SUSPICIOUS_RUN = 20
"""So many undecodable rows in a row are worth a warning."""


class Decoder:
    """One opening of a port: feed it what was read, take the blocks.

    A row's time is when its first byte began on the wire. A row that can't be decoded is declared lost
    before the rows that follow it, so a loss ends a block. `skip` frames at the beginning are no rows; with None
    the first frame of a framer without a check is declared lost, as the opening may have cut it.
    """

    def __init__(
        self,
        framer: Framer,
        parser: Parser,
        clock: WireClock,
        *,
        channels: int,
        counters: Counters,
        encoding: str = "utf-8",
        ignore: re.Pattern[str] | None = None,
        skip: int | None = None,
    ) -> None:
        self._framer = framer
        self._parser = parser
        self._clock = clock
        self._channels = channels
        self._counters = counters
        self._encoding = encoding
        self._ignore = ignore
        self._skip = skip or 0
        self._distrusted = skip is None and not framer.checked
        self._offset = 0  # of the next byte of the wire
        self._run = 0  # of undecodable rows
        self._warning: str | None = None

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame have come."""
        return self._framer.pending

    def take_warning(self) -> str | None:
        """What somebody should look at, once."""
        warning, self._warning = self._warning, None
        return warning

    def feed(self, chunk: bytes, now_ns: int) -> list[Block]:
        """The blocks of the rows that the chunk completes; `now_ns` is when the read returned."""
        self._offset += len(chunk)
        self._counters.bytes += len(chunk)
        self._clock.arrived(len(chunk), now_ns)
        blocks: list[Block] = []
        rows: list[Row] = []
        times: list[int] = []
        lost = 0
        for event in self._framer.feed(chunk):
            outcome = self._row(event)
            if outcome is None:
                continue
            began_ns = self._clock.time_ns(event.start)
            if not isinstance(outcome, Refusal):
                rows.append(outcome)
                times.append(began_ns)
                self._accept()
                continue
            if rows:
                blocks.append(self._block(rows, times, lost))
                rows, times, lost = [], [], 0
            lost += 1
            self._refuse(outcome)
        if rows:
            blocks.append(self._block(rows, times, lost))
        elif lost:
            blocks.append(self._block([], [began_ns], lost))
        self._clock.forget_before(self._offset - self.pending)
        return blocks

    def _row(self, event: Frame | Bad) -> Row | Refusal | None:
        if isinstance(event, Bad):
            return self._bad(event)
        self._counters.frames += 1
        if self._skip > 0:
            self._skip -= 1
            self._counters.ignored += 1
            return None
        outcome = None if self._is_ignored(event.data) else self._parser.parse(event.data)
        distrusted, self._distrusted = self._distrusted, False
        if outcome is None:
            self._counters.ignored += 1
        elif distrusted:
            return Refusal("the first frame after opening may have been cut")
        return outcome

    def _bad(self, event: Bad) -> Refusal | None:
        self._distrusted = False
        if self._skip > 0:
            self._skip -= 1
            self._counters.ignored += 1
            return None
        self._counters.overlong += event.reason == "overlong"
        return Refusal("an overlong frame" if event.reason == "overlong" else "bytes that are no frame")

    def _is_ignored(self, data: bytes) -> bool:
        return self._ignore is not None and bool(self._ignore.search(data.decode(self._encoding, "replace")))

    def _accept(self) -> None:
        self._counters.rows += 1
        self._run = 0

    def _refuse(self, refusal: Refusal) -> None:
        self._counters.undecodable += 1
        self._counters.last_refusal = refusal.reason
        self._run += 1
        if self._run == SUSPICIOUS_RUN:
            self._counters.warnings += 1
            self._warning = (
                f"{self._run} rows one after another could not be decoded, the last one because: {refusal.reason}"
            )

    def _block(self, rows: Sequence[Row], times: Sequence[int], lost: int) -> Block:
        frames = np.array(rows, dtype=self._parser.dtype).reshape(len(rows), self._channels)
        offsets = np.array(times[: len(rows)], dtype=np.int64) - times[0]
        return Block(frames, times[0], lost, "undecodable", offsets)
