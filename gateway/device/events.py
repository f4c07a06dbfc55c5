"""Events of the device itself, kept until there is a connection to tell them over."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

MOST_WAITING = 64
"""Events that are kept while there is no connection; the oldest are forgotten first."""

Send = Callable[[str, dict[str, Any]], bool]
"""Publishes the event of that name and content; False if there is no connection."""


def _nowhere(_: str, __: dict[str, Any]) -> bool:
    return False


class Events:
    """Tells each event once, with the time at which it happened. Any thread may call anything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque(maxlen=MOST_WAITING)
        self._send: Send = _nowhere

    def through(self, send: Send) -> None:
        """From now on there is a way to tell them."""
        self._send = send

    def add(self, event: str, content: dict[str, Any]) -> None:
        """Something happened: tell it now, or when there is a connection again."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            self._waiting.append((event, {"time": now, **content}))
        self.flush()

    def flush(self) -> None:
        """Tell what waits, oldest first."""
        while (first := self._take()) is not None:
            if not self._send(*first):
                self._put_back(first)
                return

    def _take(self) -> tuple[str, dict[str, Any]] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _put_back(self, first: tuple[str, dict[str, Any]]) -> None:
        with self._lock:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.appendleft(first)
