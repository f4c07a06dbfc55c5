"""A device made by hand: paho and cbor2, nothing of ours."""

from __future__ import annotations

import json
from typing import Any

import cbor2

from tests.support.peer import Peer

RATE = 1000
START_NS = 1_700_000_000_000_000_000


class HandmadeDevice:
    """Publishes what a device would, and whatever no device should."""

    def __init__(self, peer: Peer, name: str = "bbb1", stream: str = "ecg") -> None:
        self._peer = peer
        self._status = f"headwater/{name}/status"
        self._health = f"headwater/{name}/health"
        self._batch = f"headwater/{name}/stream/{stream}/batch"
        self._stream = stream

    def status(self, epoch: int, **changes: Any) -> None:
        """The retained status."""
        status = {
            "v": 1,
            "online": True,
            "epoch": epoch,
            "streams": [self._stream],
            "acquired": {self._stream: 0},
            "previous": [],
            **changes,
        }
        self._peer.publish(self._status, json.dumps(status).encode(), retain=True)

    def goodbye(self, epoch: int, acquired: int) -> None:
        """The status after a stop."""
        self.status(epoch, online=False, reason="stopped", acquired={self._stream: acquired})

    def health(self, content: Any) -> None:
        """A health message."""
        self._peer.publish(self._health, json.dumps(content).encode())

    def batch(self, epoch: int, start: int, end: int) -> None:
        """The frames [start, end), one channel."""
        values = b"".join(index.to_bytes(2, "little") for index in range(start, end))
        time_ns = start * 1_000_000_000 // RATE
        content = {
            "v": 1,
            "e": epoch,
            "i": start,
            "t": START_NS + time_ns,
            "m": time_ns,
            "r": [RATE, 1],
            "q": None,
            "c": 1,
            "d": cbor2.CBORTag(40, [[end - start, 1], cbor2.CBORTag(77, values)]),
        }
        self.raw(cbor2.dumps(content))

    def gap(self, epoch: int, start: int, end: int, why: str) -> None:
        """Frames that will never come."""
        self.raw(cbor2.dumps({"v": 1, "e": epoch, "i": start, "n": end - start, "why": why}))

    def raw(self, payload: bytes) -> None:
        """Any bytes on the stream's topic."""
        self._peer.publish(self._batch, payload)
