"""What is missing of the streams: asked for, or declared lost once the device says that it will not come. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.account import Range
from gateway.relay.catalogue import StreamState
from gateway.relay.delivery import Delivery
from gateway.repair import Repairs, resend_request

PATIENCE_S = 2.0
"""After a birth, how long what was sent before it may still be on its way."""
PERIOD_S = 0.5
"""How often `tick` is to be called."""

Conclude = Callable[[str, int, int, int], None]
"""An epoch of `device/stream` is over: how many frames it had, and which one followed."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a device says of one of its earlier epochs."""

    stream: str
    """`device/stream`."""
    epoch: int
    reached: int
    backlog: tuple[Range, ...]
    following: int | None
    """The next epoch of that stream that the device knows of."""
    due_s: float


class Caretaker:
    """Looks after the streams that come by one way."""

    def __init__(
        self,
        streams: Mapping[str, StreamState],
        publish: Callable[[StreamState, Delivery], None],
        ask: Callable[[str, bytes], None],
        conclude: Conclude,
    ) -> None:
        self._streams = streams
        self._publish = publish
        self._ask = ask
        """Send a device a `resend` request."""
        self._conclude = conclude
        self._repairs: dict[str, Repairs] = {}
        self._endings: list[Ending] = []

    def take_status(self, device: str, status: Mapping[str, Any], now_s: float) -> None:
        """A birth says what is known of earlier epochs."""
        self._endings += endings(device, status, now_s + PATIENCE_S)

    def tick(self, now_s: float) -> None:
        """Declare what is due, ask for the rest."""
        due = [ending for ending in self._endings if ending.due_s <= now_s]
        self._endings = [ending for ending in self._endings if ending.due_s > now_s]
        for ending in due:
            state = self._streams.get(ending.stream)
            if state is not None:
                for delivery in state.intake.end_epoch(ending.epoch, ending.reached, ending.backlog):
                    self._publish(state, delivery)
                self._end(ending, state)
        for key, state in self._streams.items():
            holes = {
                epoch: missing for epoch, known in state.intake.accounts.items() if (missing := known.holes())
            }
            if holes or key in self._repairs:
                self._repair(key, state, holes, now_s)

    def _end(self, ending: Ending, state: StreamState) -> None:
        account = state.intake.accounts.get(ending.epoch)
        if ending.following is not None:
            end = max(ending.reached, account.end if account is not None else 0)
            self._conclude(ending.stream, ending.epoch, end, ending.following)

    def _repair(self, key: str, state: StreamState, holes: dict[int, list[Range]], now_s: float) -> None:
        repairs = self._repairs.setdefault(key, Repairs())
        for epoch, ranges in repairs.due(holes, now_s).items():
            self._ask(state.device, resend_request(state.name, epoch, ranges))
        if not holes:
            del self._repairs[key]


def endings(device: str, status: Mapping[str, Any], due_s: float) -> list[Ending]:
    """What a status says of earlier epochs; whatever is not as it should be is passed over."""
    previous, newest = status.get("previous"), status.get("epoch")
    found = []
    for entry in previous if isinstance(previous, list) else []:
        match entry:
            case {"stream": str(stream), "epoch": int(epoch), "reached": int(reached), "backlog": list(backlog)}:
                ranges = tuple((part[0], part[1]) for part in backlog if _is_range(part))
                if len(ranges) == len(backlog) and 0 <= reached < 1 << 62:
                    following = newest if type(newest) is int and newest > epoch else None
                    found.append(Ending(f"{device}/{stream}", epoch, reached, ranges, following, due_s))
    return [replace(ending, following=_following(ending, found)) for ending in found]


def _following(ending: Ending, endings: list[Ending]) -> int | None:
    """The device tells of all its epochs that have frames of the stream."""
    later = [other.epoch for other in endings if other.stream == ending.stream and other.epoch > ending.epoch]
    return min(later, default=ending.following)


def _is_range(part: object) -> bool:
    return isinstance(part, list) and len(part) == 2 and all(type(end) is int for end in part)
