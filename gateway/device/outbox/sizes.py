"""How the outbox's bound is shared out between memory and disk."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.device.outbox.record import OutboxSettings


@dataclass(frozen=True, slots=True)
class Sizes:
    """How the bound is shared out, in bytes."""

    waiting: int
    in_flight: int
    fetched: int
    chunk: int
    """Most that is written in one transaction."""
    disk: int

    @classmethod
    def of(cls, settings: OutboxSettings) -> Sizes:
        """Memory: a half waits, a quarter flies, a quarter comes back from disk. The rest of the bound is disk."""
        memory = min(settings.memory_bytes, settings.max_bytes // 4)
        if settings.directory is None:
            flying = min(settings.window_bytes, settings.max_bytes // 4)
            return cls(settings.max_bytes - flying, flying, 0, 0, 0)
        flying = min(settings.window_bytes, memory // 4)
        return cls(memory // 2, flying, memory // 4, memory // 8, settings.max_bytes - memory)
