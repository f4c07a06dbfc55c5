"""Doors: every connection comes in by one, before anything is known of it.

A door counts connections, in all and for each address, gives a client some seconds to say what it wants, and then
hands the connection to the protocol behind it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import cast


@dataclass(slots=True)
class Gate:
    """Who may come in, by whichever door. Pure."""

    maximum: int
    maximum_per_address: int
    handshake_s: float
    """How long a client may take to say what it wants."""
    addresses: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    @property
    def connections(self) -> int:
        """How many there are."""
        return self.addresses.total()

    def enter(self, address: str) -> str | None:
        """Count a connection; or why it is refused."""
        if self.connections >= self.maximum:
            self.refused += 1
            return f"the relay takes {self.maximum} connections"
        if self.addresses[address] >= self.maximum_per_address:
            self.refused += 1
            return f"the relay takes {self.maximum_per_address} connections from one address"
        self.addresses[address] += 1
        return None

    def leave(self, address: str) -> None:
        """The connection is gone."""
        self.addresses[address] -= 1
        if not self.addresses[address]:
            del self.addresses[address]


class Door(asyncio.Protocol):
    """One connection. What it is for is decided by the protocol behind it, and that may change.

    Must be overridden: `listen`, `too_many`, `too_slow`.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._behind: asyncio.Protocol | None = None
        self._address: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None

    def listen(self, data: bytes) -> None:
        """What the client says before it is let in, none at first; calls `let_in` once that is enough."""
        raise NotImplementedError

    def too_many(self, why: str) -> None:
        """Send away one who is over a limit."""
        raise NotImplementedError

    def too_slow(self) -> None:
        """Send away one who did not say what it wants."""
        raise NotImplementedError

    def let_in(self, behind: asyncio.Protocol) -> None:
        """From now on the connection is the protocol's."""
        self._stop_waiting()
        self._behind = behind

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else "local"
        refusal = self._gate.enter(address)
        if refusal is not None:
            self.too_many(refusal)
            return
        self._address = address
        self._timer = asyncio.get_running_loop().call_later(self._gate.handshake_s, self.too_slow)
        self.listen(b"")

    def data_received(self, data: bytes) -> None:
        if self._behind is not None:
            self._behind.data_received(data)
        elif self._address is not None and self.transport is not None and not self.transport.is_closing():
            self.listen(data)

    def pause_writing(self) -> None:
        if self._behind is not None:
            self._behind.pause_writing()

    def resume_writing(self) -> None:
        if self._behind is not None:
            self._behind.resume_writing()

    def eof_received(self) -> bool | None:
        return self._behind.eof_received() if self._behind is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._address is not None:
            self._gate.leave(self._address)
        if self._behind is not None:
            self._behind.connection_lost(exc)
        self._behind = None

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
