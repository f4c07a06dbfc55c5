"""One thread for each source: read, number, batch, hand on. It never waits for the network."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

from boards.base import Block, SampleSource
from boards.errors import SourceLost
from boards.realtime import request_realtime
from gateway.backoff import Backoff
from gateway.device.batcher import Batcher
from gateway.device.clocks import StreamClock
from gateway.model import Message

log = logging.getLogger(__name__)

SourceEvent = Literal["source_lost", "source_back"]


class Acquisition:
    """Keeps one source open and turns its blocks into batches and gaps, in order."""

    def __init__(
        self,
        name: str,
        source: SampleSource,
        rate: Fraction | None,
        batcher: Batcher,
        clock: StreamClock,
        sink: Callable[[Message], None],
        on_event: Callable[[SourceEvent, dict[str, Any]], None],
        realtime: bool = False,
    ) -> None:
        self.name = name
        self._source = source
        self._rate = rate
        self._batcher = batcher
        self._clock = clock
        self._sink = sink
        self._on_event = on_event
        self._realtime = realtime
        self._due_ns: int | None = None
        """When the next frame is due; None until there was one, and for irregular streams."""
        self._lost = False
        self._backoff = Backoff(first_s=0.1, most_s=3.0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"acquire {name}", daemon=True)
        self.progress_ns = time.monotonic_ns()
        """When the source last answered, if only that nothing came: one that hangs stands still here.

        While a source that was lost is left alone for a while, the end of that while.
        """
        self.failure: Exception | None = None
        """What ended the thread before it was asked to stop."""

    @property
    def acquired(self) -> int:
        """The index of the next frame."""
        return self._batcher.index

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """End after the block that is being read, without waiting for it."""
        self._stopping.set()

    def stop(self, patience_s: float) -> bool:
        """End after the block that is being read, and hand on what is left; False if the source hangs."""
        self.ask_to_stop()
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        if self._realtime and (refusal := request_realtime()):
            log.warning("%s: %s", self.name, refusal)
        try:
            while not self._stopping.is_set():
                try:
                    self._source.open()
                    log.info("%s: sampling", self.name)
                    self._read_until_stopped()
                except SourceLost as error:
                    self._hand_on(self._batcher.flush())
                    self._say_lost(error)
                finally:
                    self._source.close()
                self._wait_to_reopen()
        except Exception as error:
            self.failure = error
            log.exception("%s: acquisition ended", self.name)
        finally:
            self._hand_on(self._batcher.flush())

    def _wait_to_reopen(self) -> None:
        """To wait on purpose is no hanging: the source's next answer is expected after it."""
        pause_s = self._backoff.next_s()
        self.progress_ns = time.monotonic_ns() + int(pause_s * 1e9)
        self._stopping.wait(pause_s)

    def _read_until_stopped(self) -> None:
        reopened = self._due_ns is not None
        self._clock.reopened()
        while not self._stopping.is_set():
            block = self._source.read()
            self.progress_ns = time.monotonic_ns()
            if reopened and (len(block.frames) or block.lost):
                reopened = False
                self._declare_outage(block)
            self._take(block)
            if len(block.frames):
                self._say_back()

    def _take(self, block: Block) -> None:
        if self._rate is not None:
            if len(block.frames):
                self._due_ns = block.monotonic_ns + _span_ns(len(block.frames), self._rate)
            elif self._due_ns is not None:
                self._due_ns += _span_ns(block.lost, self._rate)
        self._hand_on(self._batcher.add(block))

    def _declare_outage(self, block: Block) -> None:
        """The frames that were due while the source was away, less those it declares itself."""
        assert self._due_ns is not None
        assert self._rate is not None
        away = (block.monotonic_ns - self._due_ns) * self._rate / 1_000_000_000
        # the time of a block without frames is anywhere within the next frame's period
        due = (round(away) if len(block.frames) else math.floor(away)) - block.lost
        if due > 0:
            self._due_ns += _span_ns(due, self._rate)
            self._hand_on(self._batcher.lose(due, "unplugged"))

    def _say_lost(self, error: SourceLost) -> None:
        if not self._lost:
            log.warning("%s: source lost: %s", self.name, error)
            self._on_event("source_lost", {"stream": self.name, "index": self.acquired, "error": str(error)})
        self._lost = True

    def _say_back(self) -> None:
        self._backoff.reset()
        if self._lost:
            log.info("%s: source back", self.name)
            self._on_event("source_back", {"stream": self.name, "index": self.acquired})
        self._lost = False

    def _hand_on(self, messages: list[Message]) -> None:
        for message in messages:
            self._sink(message)


def _span_ns(count: int, rate: Fraction) -> int:
    """How long so many frames take."""
    return round(count * 1_000_000_000 / rate)
