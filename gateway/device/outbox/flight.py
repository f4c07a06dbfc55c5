"""What is in flight: handed out, and not acknowledged. Pure."""

from __future__ import annotations

from gateway.device.outbox.memory import Entry


class Flight:
    """Bounded in records and bytes; the backlog may have a share of both, and always one record."""

    def __init__(self, window: int, window_bytes: int, backlog_share: float) -> None:
        self.window = window
        self._window_bytes = window_bytes
        self._share = backlog_share
        self._token = 0
        self._entries: dict[int, Entry] = {}
        self._backlog = 0
        self._backlog_bytes = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> list[Entry]:
        """In the order in which they were handed out."""
        return list(self._entries.values())

    def has_room_for(self, entry: Entry) -> bool:
        """Whether it may go too; when nothing is in flight, anything may."""
        if not self._entries:
            return True
        size = entry.record.size
        if len(self._entries) >= self.window or self.bytes + size > self._window_bytes:
            return False
        if not entry.backlog or not self._backlog:
            return True
        share = self._share
        return (
            self._backlog < int(self.window * share) and self._backlog_bytes + size <= self._window_bytes * share
        )

    def add(self, entry: Entry) -> int:
        """It goes; the token is this sending's own, so that one of an earlier connection stands for nothing."""
        self._token += 1
        self._entries[self._token] = entry
        self._count(entry, 1)
        return self._token

    def remove(self, token: int) -> Entry | None:
        """It arrived; None if it is not in flight."""
        entry = self._entries.pop(token, None)
        if entry is not None:
            self._count(entry, -1)
        return entry

    def clear(self) -> list[Entry]:
        """None of them may have arrived."""
        entries = self.entries()
        for token in list(self._entries):
            self.remove(token)
        return entries

    def _count(self, entry: Entry, sign: int) -> None:
        self.bytes += sign * entry.record.size
        if entry.backlog:
            self._backlog += sign
            self._backlog_bytes += sign * entry.record.size
