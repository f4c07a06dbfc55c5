"""What a status says of one stream's epochs. Pure; anybody may have written it, so nothing is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.account import IntervalSet, Range

TOP = 1 << 63
"""No index and no epoch is larger."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a status tells of an earlier epoch."""

    reached: int = 0
    """The index after the last frame known to have been acquired."""
    backlog: tuple[Range, ...] = ()
    """What the device still has, and will send."""


@dataclass(frozen=True, slots=True)
class Birth:
    """A device's status, as far as it concerns one stream."""

    epoch: int
    stopped: bool
    """Whether the device said goodbye."""
    acquired: int
    """The index after the last frame, when the status was made."""
    previous: Mapping[int, Told] | None
    """The earlier epochs; None while the device does not know, because its outbox is not open."""

    def told_of(self, epoch: int) -> Told:
        """Of an earlier epoch that is not told of, nothing is known and nothing will come."""
        return (self.previous or {}).get(epoch, Told())


def birth_of(status: Mapping[str, Any], stream: str) -> Birth | None:
    """The status taken apart; None if it is none."""
    epoch = _number(status.get("epoch"))
    if epoch is None:
        return None
    acquired = status.get("acquired")
    reached = _number(acquired.get(stream)) if isinstance(acquired, Mapping) else None
    stopped = not status.get("online") and status.get("reason") == "stopped"
    return Birth(epoch, stopped, reached or 0, _previous(status.get("previous"), stream))


def _previous(entries: object, stream: str) -> dict[int, Told] | None:
    if not isinstance(entries, list):
        return None
    told: dict[int, Told] = {}
    for entry in entries:
        match entry:
            case {"stream": str(name), "epoch": int(epoch), "reached": int(reached), "backlog": list(backlog)}:
                if name == stream and _number(reached) is not None:
                    told[epoch] = Told(reached, tuple(IntervalSet(filter(None, map(_range, backlog)))))
    return told


def _range(part: object) -> Range | None:
    match part:
        case [int(start), int(end)] if 0 <= start < end <= TOP:
            return start, end
    return None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOP else None
