"""The outbox: a lock around what `core` decides, and the thread that does it to the file."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.account import IntervalSet
from gateway.device.outbox.aside import remove, set_aside
from gateway.device.outbox.core import Core
from gateway.device.outbox.disk import Contents, DiskTier, Work
from gateway.device.outbox.faults import DiskDamaged, DiskUnusable, translated
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

log = logging.getLogger(__name__)

FILE = "outbox.db"

TIDY_AFTER_NS = 10_000_000_000
"""How often it is seen whether the file is much larger than what it holds."""

RETRY_AT_MOST_S = 16.0
"""The longest pause between attempts to write again."""

OnCommitted = Callable[[Sequence[Record]], None]


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
        self._path = (settings.directory or Path()) / FILE
        self._core = Core(settings, encode_gap)
        self._encode_gap = encode_gap
        self._on_event = on_event
        self._on_ready = on_ready
        self._on_committed = on_committed
        self._clock = clock
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._changed = threading.Condition(self._lock)
        self._opened = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._flushing = False
        self._disk: DiskTier | None = None
        self._retry_ns = 0
        self._retry_s = settings.retry_s
        self._tidied_ns = 0
        self._removed = False

    def start(self) -> None:
        """Start the thread that works on the file; it opens it first."""
        if self._settings.directory is None:
            self._opened.set()
            return
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def previous(self, timeout: float | None = None) -> list[PreviousEpoch] | None:
        """What is known of earlier epochs; waits for the file to be open, None if it is not in time."""
        if not self._opened.wait(timeout):
            return None
        return self._core.previous

    def put(self, record: Record) -> None:
        """Take a record in. Waits for nothing; what does not fit is declared lost as `drop` says."""
        with self._lock:
            self._core.put(record, self._clock())
            if self._core.hurry:
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
            return self._changed.wait_for(lambda: not self._core.unwritten, timeout)

    def close(self) -> None:
        """Write everything that is not acknowledged to disk, and let the file go."""
        with self._lock:
            self._stopping = True
            self._work.notify()
        if self._thread is not None:
            self._thread.join()
        elif self._settings.directory is not None:
            self._finish()

    def step(self, *, everything: bool = False) -> None:
        """Do what is due on the disk; with `everything`, also what is not due yet."""
        if self._settings.directory is None:
            return
        if everything or self._clock() >= self._retry_ns:
            self._attempt(lambda: self._write(everything=everything))
        self._attempt(self._fetch)
        self._attempt(self._tidy)
        self._tell()

    # The thread

    def _run(self) -> None:
        pause = min(self._settings.spill_after_s, 1.0) / 2
        while True:
            with self._lock:
                if not self._has_to_go_on:
                    self._work.wait(pause)
                stopping, everything = self._stopping, self._flushing
                self._flushing = False
            if stopping:
                self._finish()
                return
            if self._settings.durability == "always":
                time.sleep(self._settings.group_s)
            try:
                self.step(everything=everything)
            except Exception as error:
                # whatever it was, a thread that ended would lose records without a word
                log.exception("outbox: unexpected")
                self._give_up(DiskUnusable(repr(error)))

    @property
    def _has_to_go_on(self) -> bool:
        if self._stopping or self._flushing:
            return True
        may_write = self._clock() >= self._retry_ns
        return ((self._disk is None or self._core.hurry) and may_write) or self._core.wanted() is not None

    def _finish(self) -> None:
        self.step(everything=True)
        self._let_go()

    # The file

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something with the file, and go on without it if that cannot be done."""
        try:
            action()
        except DiskUnusable as trouble:
            self._give_up(trouble)
        except DiskDamaged as damage:
            self._replace(damage)

    def _write(self, *, everything: bool) -> None:
        disk = self._disk or self._open()
        while (work := self._next_work(everything=everything)) is not None:
            try:
                written = disk.write(work)
            except BaseException:
                with self._lock:
                    self._core.failed(work)
                raise
            with self._lock:
                self._core.wrote(work, written, self._clock())
                self._changed.notify_all()
            self._retry_s = self._settings.retry_s
            if self._on_committed is not None:
                self._on_committed([entry.record for entry, _ in written.rows])
            self._tell(ready=True)

    def _next_work(self, *, everything: bool) -> Work | None:
        with self._lock:
            return self._core.work(self._clock(), everything=everything)

    def _fetch(self) -> None:
        while self._disk is not None:
            with self._lock:
                wanted = self._core.wanted()
            if wanted is None:
                return
            rows = self._disk.read(*wanted)
            with self._lock:
                self._core.fetched(rows)
                self._changed.notify_all()
            self._tell(ready=True)

    def _tidy(self) -> None:
        if self._disk is None:
            return
        with self._lock:
            oldest = next(iter(self._core.ledger.backlog), None)
        put_ns = self._disk.put_ns(oldest[0]) if oldest else None
        with self._lock:
            self._core.oldest_backlog_ns = put_ns
        now = self._clock()
        if self._stopping or now - self._tidied_ns >= TIDY_AFTER_NS:
            self._tidied_ns = now
            self._disk.shrink()

    def _open(self) -> DiskTier:
        disk = self._new_tier()
        try:
            contents = disk.scan(IntervalSet() if self._removed else self._core.ledger.doomed)
        except BaseException:
            disk.close()
            raise
        self._adopt(disk, contents, fresh=self._removed)
        self._removed = False
        return disk

    def _new_tier(self) -> DiskTier:
        return DiskTier(self._path, limit=self._core.sizes.disk, encode_gap=self._encode_gap)

    def _adopt(self, disk: DiskTier, contents: Contents, *, fresh: bool) -> int:
        with self._lock:
            lost = self._core.adopt(contents, self._clock(), fresh=fresh)
        self._disk = disk
        self._opened.set()
        return lost

    def _replace(self, damage: DiskDamaged) -> None:
        """Set the file aside, begin another one, and take over what is sound of it."""
        self._let_go()
        try:
            with translated(self._path):
                aside = set_aside(self._path)
            disk = self._new_tier()
            contents = disk.take_over(aside, self._core.ledger.doomed)
        except (DiskUnusable, DiskDamaged) as trouble:
            self._give_up(DiskUnusable(f"{damage}; and then {trouble}"))
            return
        lost = self._adopt(disk, contents, fresh=True)
        log.error("outbox: %s; set aside as %s, %d records are sound", damage, aside, contents.rows.count)
        self._core.notices.append(
            (
                "outbox_corrupt",
                {"why": str(damage), "file": str(aside), "salvaged": contents.rows.count, "lost_frames": lost},
            )
        )

    def _give_up(self, trouble: DiskUnusable) -> None:
        """Go on in memory alone, and try again later.

        When the disk is full, the file can still be read. Nothing can be deleted from it, because that needs
        space too; but once all of it was acknowledged, it can be removed as a whole.
        """
        log.warning("outbox: %s; what comes is kept in memory", trouble)
        if not trouble.full:
            self._let_go()
        elif self._disk is not None and not self._core.ledger.records:
            self._let_go()
            remove(self._path)
            self._removed = True
            self._retry_s = 0.0
        self._retry_ns = self._clock() + int(self._retry_s * 1e9)
        self._retry_s = min(max(self._retry_s * 2, self._settings.retry_s), RETRY_AT_MOST_S)
        with self._lock:
            self._core.degrade(str(trouble))
            self._changed.notify_all()
        self._tell(ready=True)

    def _let_go(self) -> None:
        if self._disk is not None:
            with self._lock:
                self._core.closed()
            self._disk.close()
            self._disk = None

    def _tell(self, *, ready: bool = False) -> None:
        """Call back, without the lock."""
        with self._lock:
            notices, self._core.notices = self._core.notices, []
        if self._on_event is not None:
            for name, data in notices:
                self._on_event(name, data)
        if ready and self._on_ready is not None:
            self._on_ready()
