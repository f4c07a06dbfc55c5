"""What is done to the outbox's file: open, write, read back, set aside, give up and try again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.account import IntervalSet
from gateway.device.outbox.aside import remove, set_aside
from gateway.device.outbox.core import Core
from gateway.device.outbox.disk import Contents, DiskTier, Work
from gateway.device.outbox.faults import DiskDamaged, DiskUnusable, translated
from gateway.device.outbox.record import EncodeGap, Record

log = logging.getLogger(__name__)

FILE = "outbox.db"

TIDY_AFTER_NS = 10_000_000_000
"""How often it is seen whether the file is much larger than what it holds."""

RETRY_AT_MOST_S = 16.0
"""The longest pause between attempts to write again."""

OnCommitted = Callable[[Sequence[Record]], None]


class Worker:
    """Carries out what the core decides, for one thread at a time.

    The lock is held to ask and to tell the core, and never while the disk works.
    """

    def __init__(
        self,
        core: Core,
        lock: threading.Lock,
        directory: Path,
        *,
        encode_gap: EncodeGap,
        clock: Callable[[], int],
        on_progress: Callable[[], None],
        on_committed: OnCommitted | None,
    ) -> None:
        """`on_progress` is called, without the lock, when the core may have something new to say."""
        self._core = core
        self._lock = lock
        self._path = directory / FILE
        self._encode_gap = encode_gap
        self._clock = clock
        self._on_progress = on_progress
        self._on_committed = on_committed
        self._disk: DiskTier | None = None
        self._is_fresh = False
        """The file is not the one whose rows the core knows."""
        self._retry_ns = 0
        self._retry_s = core.settings.retry_s
        self._tidied_ns = 0
        self.opened = threading.Event()
        """Set when the file was open for the first time."""

    @property
    def may_write(self) -> bool:
        """Whether there is no pause after a failure."""
        return self._clock() >= self._retry_ns

    @property
    def is_pressed(self) -> bool:
        """Whether there is something to do at once."""
        return ((self._disk is None or self._core.hurry) and self.may_write) or self._core.wanted() is not None

    def step(self, *, everything: bool = False) -> None:
        """Do what is due; with `everything`, also what is not due yet."""
        if everything or self.may_write:
            self._attempt(lambda: self._write(everything=everything))
        self._attempt(self._fetch)
        self._attempt(lambda: self._tidy(everything=everything))

    def finish(self) -> None:
        """Write everything, and let the file go."""
        self.step(everything=True)
        self._let_go()

    def give_up(self, trouble: DiskUnusable) -> None:
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
            self._is_fresh = True
            self._retry_s = 0.0
        self._retry_ns = self._clock() + int(self._retry_s * 1e9)
        self._retry_s = min(max(self._retry_s * 2, self._core.settings.retry_s), RETRY_AT_MOST_S)
        with self._lock:
            self._core.degrade(str(trouble))
        self._on_progress()

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something with the file, and go on without it if that cannot be done."""
        try:
            action()
        except DiskUnusable as trouble:
            self.give_up(trouble)
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
            self._retry_s = self._core.settings.retry_s
            if self._on_committed is not None:
                self._on_committed([entry.record for entry, _ in written.rows])
            self._on_progress()

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
            self._on_progress()

    def _tidy(self, *, everything: bool) -> None:
        if self._disk is None:
            return
        with self._lock:
            oldest = next(iter(self._core.ledger.backlog), None)
        put_ns = self._disk.put_ns(oldest[0]) if oldest else None
        with self._lock:
            self._core.oldest_backlog_ns = put_ns
        now = self._clock()
        if everything or now - self._tidied_ns >= TIDY_AFTER_NS:
            self._tidied_ns = now
            self._disk.shrink()

    def _open(self) -> DiskTier:
        disk, contents = self._open_with(lambda tier: tier.scan(self._doomed()))
        self._adopt(disk, contents)
        return disk

    def _open_with(self, read: Callable[[DiskTier], Contents]) -> tuple[DiskTier, Contents]:
        """The file, and what `read` makes of it; closed again if that fails."""
        disk = DiskTier(self._path, limit=self._core.sizes.disk, encode_gap=self._encode_gap)
        try:
            return disk, read(disk)
        except BaseException:
            disk.close()
            raise

    def _doomed(self) -> IntervalSet:
        """Rows of the file that were acknowledged; it cannot change while the file is closed."""
        return IntervalSet() if self._is_fresh else self._core.ledger.doomed

    def _adopt(self, disk: DiskTier, contents: Contents) -> int:
        with self._lock:
            lost = self._core.adopt(contents, self._clock(), fresh=self._is_fresh)
        self._disk = disk
        self._is_fresh = False
        self.opened.set()
        return lost

    def _replace(self, damage: DiskDamaged) -> None:
        """Set the file aside, begin another one, and take over what is sound of it."""
        self._let_go()
        doomed = self._doomed()
        try:
            with translated(self._path):
                aside = set_aside(self._path)
            self._is_fresh = True
            disk, contents = self._open_with(lambda tier: tier.take_over(aside, doomed))
        except (DiskUnusable, DiskDamaged) as trouble:
            self.give_up(DiskUnusable(f"{damage}; and then {trouble}"))
            return
        lost = self._adopt(disk, contents)
        log.error("outbox: %s; set aside as %s, %d records are sound", damage, aside, contents.rows.count)
        about = {"why": str(damage), "file": str(aside), "salvaged": contents.rows.count, "lost_frames": lost}
        with self._lock:
            self._core.notices.append(("outbox_corrupt", about))
        self._on_progress()

    def _let_go(self) -> None:
        if self._disk is not None:
            with self._lock:
                self._core.closed()
            self._disk.close()
            self._disk = None
