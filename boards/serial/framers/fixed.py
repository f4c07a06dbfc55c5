"""Frames of one size that begin with sync bytes and end with a check.

Which frames come out: with a CRC, every well-formed frame that does not overlap the one delivered before it.
So a frame between garbage is missed only if the garbage, together with the frame's own first bytes, happens
to hold sync bytes followed by a matching CRC (for a CRC of n bits once in 2**n such places). Nothing is ever
waited for: whatever looks like a frame and begins earlier also ends earlier, as all are of one size. Without a
CRC, bytes that look like sync bytes take the place of the frame they overlap, until the search is in step again.
"""

from __future__ import annotations

from boards.serial.crc import ByteOrder, Crc, CrcCovers
from boards.serial.framers.base import Bad, Frame


class FixedFramer:
    """Sync bytes, a payload of `size` bytes, and a CRC over the payload or over sync and payload.

    After a frame that fails, the search goes on at the byte after its first one, inside it. Skipped bytes are
    declared as one `Bad` for each frame's worth of them, begun or whole: a damaged frame is one, and so
    is a frame that lost bytes.
    """

    def __init__(
        self,
        sync: bytes,
        size: int,
        crc: Crc | None = None,
        crc_order: ByteOrder = "little",
        crc_covers: CrcCovers = "payload",
    ) -> None:
        self.checked = crc is not None
        self.limit = len(sync) + size + (crc.width if crc else 0)
        self._sync = sync
        self._payload = slice(len(sync), len(sync) + size)
        self._crc = crc
        self._crc_order: ByteOrder = crc_order
        self._covered = slice(0 if crc_covers == "frame" else len(sync), self._payload.stop)
        self._held = b""
        self._offset = 0  # of the first held byte
        self._bad_from: int | None = None

    @property
    def pending(self) -> int:
        """How many bytes have come that neither a frame nor a `Bad` has accounted for."""
        skipped = 0 if self._bad_from is None else self._offset - self._bad_from
        return skipped + len(self._held)

    def feed(self, chunk: bytes) -> list[Frame | Bad]:
        """The frames that the chunk completes."""
        data = self._held + chunk
        found: list[Frame | Bad] = []
        at = 0
        while True:
            start = self._find_sync(data, at)
            if start > at:
                self._skip(self._offset + at, self._offset + start, found)
            at = start
            if at + self.limit > len(data):
                break
            candidate = data[at : at + self.limit]
            if self._is_whole(candidate):
                self._end_skipping(self._offset + at, found)
                end = at + self.limit
                found.append(Frame(candidate[self._payload], self._offset + at, self._offset + end))
                at = end
            else:
                self._skip(self._offset + at, self._offset + at + 1, found)
                at += 1
        self._held = data[at:]
        self._offset += at
        return found

    def _find_sync(self, data: bytes, at: int) -> int:
        """Where sync bytes begin at or after `at`, if only with their first part at the end of the data."""
        start = data.find(self._sync, at)
        if start >= 0:
            return start
        for kept in range(min(len(self._sync) - 1, len(data) - at), 0, -1):
            if data.endswith(self._sync[:kept]):
                return len(data) - kept
        return len(data)

    def _is_whole(self, candidate: bytes) -> bool:
        if self._crc is None:
            return True
        return self._crc.pack(candidate[self._covered], self._crc_order) == candidate[self._payload.stop :]

    def _skip(self, start: int, end: int, found: list[Frame | Bad]) -> None:
        if self._bad_from is None:
            self._bad_from = start
        while end - self._bad_from >= self.limit:
            found.append(Bad("garbage", self._bad_from, self._bad_from + self.limit))
            self._bad_from += self.limit

    def _end_skipping(self, end: int, found: list[Frame | Bad]) -> None:
        if self._bad_from is not None and end > self._bad_from:
            found.append(Bad("garbage", self._bad_from, end))
        self._bad_from = None
