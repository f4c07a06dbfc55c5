"""What the relay logs of its clients.

A client that comes and goes is worth a line to those who debug; one that was sent away, that lost frames, or that
had no right to be there, to everybody, but not a thousand in a second.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from gateway.logs import Ration

log = logging.getLogger(__name__)

MOST_PER_S = 10
ORDINARY = ("left", "lost", "restart")
"""Ends that are nobody's mistake."""


class Journal:
    """Of one relay."""

    def __init__(self) -> None:
        self._ends = Ration(MOST_PER_S)
        self._refusals = Ration(MOST_PER_S)
        self._turned_away = 0

    def connected(self, client: dict[str, Any]) -> None:
        """A client is there; what it is as fields."""
        log.debug(
            "client %d: connected: %s from %s",
            *(client[key] for key in ("client", "outlet", "address")),
            extra={"event": "client_connected", **client},
        )

    def disconnected(self, client: dict[str, Any], *, reason: str, seconds: float, lost_frames: int) -> None:
        """It has gone, and why: by itself (`left`, `lost`), or as it was sent away."""
        level, left_out = logging.DEBUG, None
        if reason not in ORDINARY or lost_frames:
            left_out = self._ends.take(time.monotonic())
            level = logging.DEBUG if left_out is None else logging.INFO
        log.log(
            level,
            "client %d: gone: %s from %s, %s, after %.1f s, %d frames lost: %s%s",
            *(client[key] for key in ("client", "outlet", "address", "stream")),
            seconds,
            lost_frames,
            reason,
            _and_others(left_out),
            extra={
                "event": "client_disconnected",
                **client,
                "reason": reason,
                "seconds": round(seconds, 1),
                "lost_frames": lost_frames,
            },
        )

    def refused(self, outlet: str, address: str, why: str) -> None:
        """Somebody came with a token that is none, or with none where one was due."""
        left_out = self._refusals.take(time.monotonic())
        log.log(
            logging.DEBUG if left_out is None else logging.INFO,
            "login refused: %s from %s: %s%s",
            outlet,
            address,
            why,
            _and_others(left_out),
            extra={"event": "login_refused", "outlet": outlet, "address": address, "reason": why},
        )

    def turned_away(self, count: int) -> None:
        """So many connections were refused since the relay began."""
        if count > self._turned_away:
            more, self._turned_away = count - self._turned_away, count
            log.warning(
                "%d connections refused: over relay.connections or relay.connections_per_address",
                more,
                extra={"event": "connections_refused", "count": more},
            )


def _and_others(left_out: int | None) -> str:
    return f" (and {left_out} others before)" if left_out else ""
