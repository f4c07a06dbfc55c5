"""From bytes and their times of arrival to blocks: all of a serial source that is not I/O."""

from __future__ import annotations

import re

from numpy.typing import DTypeLike

from boards.base import Block
from boards.serial.blocks import BlockBuilder
from boards.serial.counters import Counters
from boards.serial.framers import Bad, Frame, Framer
from boards.serial.losses import Loss, LossCounter
from boards.serial.parsers import Parser, Refusal, Row
from boards.serial.wire import WireClock

SUSPICIOUS_RUN = 20
"""So many undecodable frames one after another are worth a warning."""


class Decoder:
    """One opening of a port: feed it what was read, take the blocks.

    The parser gives a number for each channel, and one more, the row's own, if `losses` needs it.
    A row's time is when its first byte began on the wire. A row that can't be decoded is declared lost
    before the rows that follow it. `skip` frames at the beginning are no rows; with None the first frame of a
    framer without a check is declared lost, as the opening may have cut it.
    """

    def __init__(
        self,
        framer: Framer,
        parser: Parser,
        clock: WireClock,
        losses: LossCounter,
        *,
        channels: int,
        dtype: DTypeLike,
        counters: Counters,
        encoding: str = "utf-8",
        ignore: re.Pattern[str] | None = None,
        skip: int | None = None,
    ) -> None:
        self._framer = framer
        self._parser = parser
        self._clock = clock
        self._losses = losses
        self._channels = channels
        self._blocks = BlockBuilder(channels, dtype)
        self._counters = counters
        self._encoding = encoding
        self._ignore = ignore
        self._skip = skip or 0
        self._distrusted = skip is None and not framer.checked
        self._offset = 0  # of the next byte of the wire
        self._run = 0  # of undecodable rows
        self._warning: str | None = None

    def feed(self, chunk: bytes, now_ns: int) -> list[Block]:
        """The blocks of the rows that the chunk completes; `now_ns` is when the read returned."""
        self._offset += len(chunk)
        self._counters.bytes += len(chunk)
        self._clock.arrived(len(chunk), now_ns)
        for event in self._framer.feed(chunk):
            outcome = self._decode(event)
            if isinstance(outcome, Refusal):
                self._refuse(outcome, self._clock.time_ns(event.start))
            elif outcome is not None:
                self._accept(*outcome, self._clock.time_ns(event.start))
        self._clock.forget_before(self._offset - self._framer.pending)
        return self._blocks.take()

    def cut(self, now_ns: int) -> list[Block]:
        """The port went away: the blocks that this makes, if a row was on its way."""
        if self._framer.pending:
            self._counters.partial += 1
            self._lose(self._losses.cut(), now_ns)
        return self._blocks.take()

    def take_warning(self) -> str | None:
        """What somebody should look at, once."""
        warning, self._warning = self._warning, None
        return warning

    def _decode(self, event: Frame | Bad) -> tuple[Row, Loss] | Refusal | None:
        """A row and what was lost before it, a refusal, or None for what is no row."""
        self._counters.frames += isinstance(event, Frame)
        self._counters.overlong += isinstance(event, Bad) and event.reason == "overlong"
        distrusted, self._distrusted = self._distrusted, False
        if self._skip > 0:
            self._skip -= 1
            self._counters.ignored += 1
            return None
        if isinstance(event, Bad):
            return Refusal("an overlong frame" if event.reason == "overlong" else "bytes that are no frame")
        outcome = None if self._is_ignored(event.data) else self._parser.parse(event.data)
        if outcome is None:
            self._counters.ignored += 1
            return None
        if distrusted:
            return Refusal("the first frame after opening may have been cut")
        if isinstance(outcome, Refusal):
            return outcome
        loss = self._losses.before(outcome[self._channels] if len(outcome) > self._channels else None)
        return loss if isinstance(loss, Refusal) else (outcome[: self._channels], loss)

    def _is_ignored(self, data: bytes) -> bool:
        return self._ignore is not None and bool(self._ignore.search(data.decode(self._encoding, "replace")))

    def _accept(self, row: Row, loss: Loss, began_ns: int) -> None:
        self._lose(loss, began_ns)
        self._blocks.add(row, began_ns)
        self._counters.rows += 1
        self._run = 0

    def _refuse(self, refusal: Refusal, began_ns: int) -> None:
        self._lose(self._losses.refused(), began_ns)
        self._counters.undecodable += 1
        self._counters.last_refusal = refusal.reason
        self._run += 1
        if self._run == SUSPICIOUS_RUN:
            self._counters.warnings += 1
            self._warning = (
                f"{self._run} frames one after another are undecodable; of the last one: {refusal.reason}"
            )

    def _lose(self, loss: Loss, began_ns: int) -> None:
        count, reason = loss
        self._blocks.lose(count, reason, began_ns)
        self._counters.lost += count
