"""What is known of devices and streams: their retained status and meta, and how far each stream has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.codec import codec_named
from gateway.model import Batch, Gap, Message


@dataclass(slots=True)
class StreamState:
    """One stream as the relay has seen it."""

    device: str
    name: str
    meta: dict[str, Any] | None = None
    epoch: int | None = None
    end: int = 0
    """The index after the newest frame of the newest epoch."""
    last_utc_ns: int | None = None
    delivered: int = 0
    """Frames."""
    lost: dict[str, int] = field(default_factory=dict)
    """Frames, by reason."""

    @property
    def key(self) -> str:
        """`device/stream`."""
        return f"{self.device}/{self.name}"

    @property
    def codec(self) -> str:
        """The wire format that the meta names."""
        return codec_named((self.meta or {}).get("codec")).name

    def count(self, message: Message) -> None:
        """Take note of a batch or a gap."""
        if self.epoch is None or message.epoch > self.epoch:
            self.epoch, self.end = message.epoch, 0
        self.end = max(self.end, message.end) if message.epoch == self.epoch else self.end
        if isinstance(message, Gap):
            self.lost[message.reason] = self.lost.get(message.reason, 0) + message.count
            return
        self.delivered += message.frames
        self.last_utc_ns = _last_utc_ns(message)


def _last_utc_ns(batch: Batch) -> int:
    return int(batch.times_ns()[-1]) if batch.frames else batch.utc_ns


class Catalogue:
    """All devices and streams below the root."""

    def __init__(self) -> None:
        self.statuses: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, StreamState] = {}

    def stream(self, device: str, name: str) -> StreamState:
        """The stream's state, made when it is first heard of."""
        key = f"{device}/{name}"
        if key not in self.streams:
            self.streams[key] = StreamState(device, name)
        return self.streams[key]

    def status(self, device: str) -> dict[str, Any] | None:
        """The newest status of the device."""
        return self.statuses.get(device)

    def online(self, device: str) -> bool:
        """Whether the device says that it is there."""
        return bool((self.status(device) or {}).get("online"))

    def listing(self) -> list[dict[str, Any]]:
        """Every stream, for the API."""
        return [
            {
                "stream": state.key,
                "device": state.device,
                "name": state.name,
                "online": self.online(state.device),
                "meta": state.meta,
                "epoch": state.epoch,
                "end": state.end,
                "delivered": state.delivered,
                "lost": state.lost,
                "last_utc_ns": None if state.last_utc_ns is None else str(state.last_utc_ns),
            }
            for state in sorted(self.streams.values(), key=lambda state: state.key)
        ]
