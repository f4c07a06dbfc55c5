"""When to ask a device for what is missing. Pure.

A hole may only be late: the backlog follows beside the live data. So a hole is asked for when it has been there
for a while, and again when that did not help.
"""

from __future__ import annotations

import json

from gateway.account import Range

GRACE_S = 1.0
"""How long a hole may be there before it is asked for."""
AGAIN_S = 2.0
"""How long an answer may take before it is asked for again."""
MOST_RANGES = 100
"""Ranges in one request."""


class Repairs:
    """The holes of one stream, and when each was asked for."""

    def __init__(self) -> None:
        self._due_s: dict[tuple[int, int], float] = {}

    def due(self, holes: dict[int, list[Range]], now_s: float) -> dict[int, list[Range]]:
        """What to ask for now, by epoch."""
        present = {(epoch, start) for epoch, ranges in holes.items() for start, _ in ranges}
        self._due_s = {key: due for key, due in self._due_s.items() if key in present}
        asked: dict[int, list[Range]] = {}
        for epoch, ranges in holes.items():
            for hole in ranges[:MOST_RANGES]:
                due_s = self._due_s.setdefault((epoch, hole[0]), now_s + GRACE_S)
                if now_s >= due_s:
                    self._due_s[epoch, hole[0]] = now_s + AGAIN_S
                    asked.setdefault(epoch, []).append(hole)
        return asked


def resend_request(stream: str, epoch: int, ranges: list[Range]) -> bytes:
    """The payload of a `resend` request: see gateway/device/requests.py."""
    return json.dumps({"stream": stream, "epoch": epoch, "ranges": [list(part) for part in ranges]}).encode()
