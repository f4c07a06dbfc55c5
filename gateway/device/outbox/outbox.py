"""The outbox: a lock around what the core decides, and a thread for what the worker does to the file."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from gateway.device.outbox.core import Core
from gateway.device.outbox.faults import DiskUnusable
from gateway.device.outbox.record import (
    Counters,
    EncodeGap,
    OnEvent,
    OutboxSettings,
    PreviousEpoch,
    Record,
    Sending,
    encode_gap,
)
from gateway.device.outbox.worker import OnCommitted, Worker

log = logging.getLogger(__name__)


class Outbox:
    """Keeps records from `put()` until they are acknowledged, or declares them lost in their places.

    Every method may be called from any thread, and none but `flush()`, `close()` and those with a timeout
    waits for the disk. Without `start()` the file is worked on by whoever calls `step()`.
    """

    def __init__(
        self,
        settings: OutboxSettings,
        *,
        encode_gap: EncodeGap = encode_gap,
        on_event: OnEvent | None = None,
        on_ready: Callable[[], None] | None = None,
        on_committed: OnCommitted | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`on_ready` is called when `take()` may have something that it had not, `on_committed` with what a commit
        has just put on disk; both from any thread, with no lock held. `clock` is CLOCK_MONOTONIC in ns.
        """
        self._settings = settings
        self._core = Core(settings, encode_gap)
        self._on_event = on_event
        self._on_ready = on_ready
        self._clock = clock
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._at_once = threading.Condition(self._lock)
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._flushing = False
        self._worker: Worker | None = None
        if settings.directory is not None:
            self._worker = Worker(
                self._core,
                self._lock,
                settings.directory,
                encode_gap=encode_gap,
                clock=clock,
                on_progress=self._progress,
                on_committed=on_committed,
            )

    def start(self) -> None:
        """Start the thread that works on the file; it opens it first."""
        if self._worker is not None:
            self._thread = threading.Thread(target=self._run, args=(self._worker,), name="outbox", daemon=True)
            self._thread.start()

    def previous(self, timeout: float | None = None) -> list[PreviousEpoch] | None:
        """What is known of earlier epochs; waits for the file to be open, None if it is not in time."""
        if self._worker is not None and not self._worker.opened.wait(timeout):
            return None
        return self._core.previous

    def put(self, record: Record) -> None:
        """Take a record in. Waits for nothing; what does not fit is declared lost as `drop` says."""
        with self._lock:
            self._core.put(record, self._clock())
            if self._core.hurry and self._worker is not None and self._worker.may_write:
                self._work.notify()
            self._changed.notify_all()
        self._tell(ready=True)

    def connected(self, window: int | None = None) -> None:
        """The broker is there, and allows `window` records in flight (its receive-maximum)."""
        with self._lock:
            self._core.connected(window)
            self._work.notify()
            self._changed.notify_all()
        self._tell(ready=True)

    def release_all(self) -> None:
        """The broker went away: all in flight is to be sent again, and everything goes to disk."""
        with self._lock:
            self._core.release_all()
            self._work.notify()
        self._tell()

    def release(self, token: int) -> None:
        """This one could not be sent, and the broker is there as far as one knows: it is to be sent again."""
        with self._lock:
            self._core.release(token)
            self._work.notify()
            self._changed.notify_all()
        self._tell(ready=True)

    def take(self, timeout: float = 0.0) -> Sending | None:
        """The next record to send, live before backlog.

        None if there is none in time, the window is full, or `connected()` was not called.
        """
        with self._lock:
            sending = self._changed.wait_for(self._core.take, timeout) if timeout > 0 else self._core.take()
            if self._core.wanted() is not None:
                self._work.notify()
        return sending

    def ack(self, token: int) -> None:
        """The broker has it: forget it. A token that was released meanwhile is ignored."""
        with self._lock:
            self._core.ack(token)
            self._changed.notify_all()

    def counters(self) -> Counters:
        """The state for the health message."""
        with self._lock:
            return self._core.counters(self._clock())

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything put so far is on disk; False if it is not in time."""
        with self._lock:
            self._flushing = True
            self._work.notify()
            self._at_once.notify()
            return self._changed.wait_for(lambda: not self._core.unwritten, timeout)

    def close(self) -> None:
        """Write everything that is not acknowledged to disk, and let the file go."""
        with self._lock:
            self._stopping = True
            self._work.notify()
            self._at_once.notify()
        if self._thread is not None:
            self._thread.join()
        elif self._worker is not None:
            self._worker.finish()

    def step(self, *, everything: bool = False) -> None:
        """Do what is due on the disk; with `everything`, also what is not due yet."""
        if self._worker is not None:
            self._worker.step(everything=everything)
            self._tell()

    def _run(self, worker: Worker) -> None:
        pause = min(self._settings.spill_after_s, 1.0) / 2
        while True:
            with self._lock:
                if not (self._is_asked or worker.is_pressed):
                    self._work.wait(pause)
                if self._settings.durability == "always":
                    self._at_once.wait_for(lambda: self._is_asked, self._settings.group_s)
                stopping, everything = self._stopping, self._flushing
                self._flushing = False
            if stopping:
                worker.finish()
                return
            try:
                self.step(everything=everything)
            except Exception as error:
                # whatever it was, a thread that ended would lose records without a word
                log.exception("outbox: unexpected")
                worker.give_up(DiskUnusable(repr(error)))

    @property
    def _is_asked(self) -> bool:
        """Whether somebody waits for the disk."""
        return self._stopping or self._flushing

    def _progress(self) -> None:
        with self._lock:
            self._changed.notify_all()
        self._tell(ready=True)

    def _tell(self, *, ready: bool = False) -> None:
        """Call back, without the lock."""
        with self._lock:
            notices, self._core.notices = self._core.notices, []
        if self._on_event is not None:
            for name, data in notices:
                self._on_event(name, data)
        if ready and self._on_ready is not None:
            self._on_ready()
