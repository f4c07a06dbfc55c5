"""What is known of devices and streams: their retained status and meta, and how far each stream has come. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.codec import codec_named
from gateway.relay.answers import StreamEntry
from gateway.relay.intake import Intake

MOST_METAS = 100
"""How many descriptions of a stream are remembered."""


class StreamState:
    """One stream as the relay has seen it."""

    def __init__(self, device: str, name: str) -> None:
        self.device = device
        self.name = name
        self.key = f"{device}/{name}"
        self.meta: dict[str, Any] | None = None
        """The newest."""
        self.metas: dict[int, dict[str, Any]] = {}
        """By revision; the last ones."""
        self.intake = Intake()
        self.undecodable = 0
        """Payloads that were no messages."""

    def take_meta(self, meta: dict[str, Any]) -> None:
        """A description, for the batches that were made under it and follow."""
        self.meta = meta
        revision = _revision(meta)
        self.metas.pop(revision, None)
        self.metas[revision] = meta
        if len(self.metas) > MOST_METAS:
            del self.metas[next(iter(self.metas))]

    def meta_of(self, revision: int) -> Mapping[str, Any]:
        """The description that batches of that revision were made under; empty if it is not known."""
        return self.metas.get(revision, {})

    @property
    def codec(self) -> str:
        """The wire format that the meta names."""
        return codec_named((self.meta or {}).get("codec")).name


class Catalogue:
    """All devices and streams below the roots."""

    def __init__(self) -> None:
        self.statuses: dict[str, dict[str, Any]] = {}
        """By device; the newest."""
        self.health: dict[str, dict[str, Any]] = {}
        """By device; the newest."""
        self.streams: dict[str, StreamState] = {}
        """By `device/stream`."""

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

    def listing(self) -> list[StreamEntry]:
        """Every stream, for the API."""
        return [
            {
                "stream": state.key,
                "device": state.device,
                "name": state.name,
                "online": self.online(state.device),
                "meta": state.meta,
                **state.intake.as_dict(),
                "undecodable": state.undecodable,
            }
            for state in sorted(self.streams.values(), key=lambda state: state.key)
        ]


def _revision(meta: Mapping[str, Any]) -> int:
    revision = meta.get("revision")
    return revision if isinstance(revision, int) else 1
