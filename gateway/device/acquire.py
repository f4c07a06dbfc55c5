"""One thread for each source: read, number, batch, hand on. It never waits for the network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from fractions import Fraction

from boards.base import Block, SampleSource
from boards.errors import SourceLost
from gateway.backoff import Backoff
from gateway.device.batcher import Batcher
from gateway.model import Message

log = logging.getLogger(__name__)


class Acquisition:
    """Keeps one source open and turns its blocks into batches and gaps, in order."""

    def __init__(
        self,
        name: str,
        source: SampleSource,
        rate: Fraction,
        batcher: Batcher,
        sink: Callable[[Message], None],
    ) -> None:
        self._name = name
        self._source = source
        self._rate = rate
        self._batcher = batcher
        self._sink = sink
        self._due_ns: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"acquire {name}", daemon=True)
        self.failure: Exception | None = None
        """What ended the thread before it was asked to stop."""

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """End after the block that is being read, and hand on what is left."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        backoff = Backoff(first_s=0.1, most_s=3.0)
        try:
            while not self._stopping.is_set():
                try:
                    self._source.open()
                    log.info("%s: sampling", self._name)
                    self._read_until_stopped(backoff)
                except SourceLost as error:
                    log.warning("%s: source lost: %s", self._name, error)
                    self._stopping.wait(backoff.next_s())
                finally:
                    self._source.close()
        except Exception as error:
            self.failure = error
            log.exception("%s: acquisition ended", self._name)
        finally:
            self._hand_on(self._batcher.flush())

    def _read_until_stopped(self, backoff: Backoff) -> None:
        reopened = self._due_ns is not None
        while not self._stopping.is_set():
            block = self._source.read()
            if reopened and (len(block.frames) or block.lost):
                reopened = False
                self._declare_outage(block)
            self._take(block)
            if len(block.frames):
                backoff.reset()

    def _take(self, block: Block) -> None:
        if len(block.frames):
            period = self._rate.denominator / self._rate.numerator * 1e9
            self._due_ns = block.monotonic_ns + round(len(block.frames) * period)
        self._hand_on(self._batcher.add(block))

    def _declare_outage(self, block: Block) -> None:
        """The frames that were due while the source was away, less those it declares itself."""
        assert self._due_ns is not None
        away_ns = block.monotonic_ns - self._due_ns
        due = round(away_ns * self._rate / 1_000_000_000) - block.lost
        if due > 0:
            self._hand_on(self._batcher.lose(due, "unplugged"))

    def _hand_on(self, messages: list[Message]) -> None:
        for message in messages:
            self._sink(message)
