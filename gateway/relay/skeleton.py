"""What stays the same from one batch of a stream to the next, so that it need not be taken apart each time. Pure.

Between two batches of one stream nothing changes but the numbers and the samples: not even the length of the
numbers, most of the time. Where a payload has the very bytes of its predecessor everywhere else, it is as
well-formed as that one was, and its numbers stand in the same places.
"""

from __future__ import annotations

import struct
from typing import Self

from gateway.codec import CODECS
from gateway.model import Batch
from gateway.relay.delivery import last_utc_ns

_SIZES = {24: "B", 25: "H", 26: "I", 27: "Q"}
"""The additional information of a CBOR head to the number that follows it: RFC 8949, section 3."""
_KEYS = (b"ae", b"ai", b"at", b"am")
"""Of the numbers that change, in the order of the wire: epoch, index, UTC and monotonic time."""
LIMIT = 1 << 62
"""Numbers from here on are left to the codec to judge."""


class Skeleton:
    """The layout of a batch, learnt from one whose bytes are known to be well-formed."""

    __slots__ = ("_fixed", "_layout", "_length", "_numbers", "frames", "rate", "span_ns")

    def __init__(
        self, payload: bytes, batch: Batch, layout: struct.Struct, numbers: tuple[int | None, ...]
    ) -> None:
        self._layout = layout
        self._length = len(payload)
        self._fixed = layout.unpack_from(payload)[::2]
        self._numbers = numbers
        """Those of `_KEYS` that are too small to have bytes of their own; None for the others."""
        self.frames = batch.frames
        self.rate = batch.rate
        self.span_ns = last_utc_ns(batch) - batch.utc_ns
        """Time from the first to the last frame."""

    @classmethod
    def of(cls, payload: bytes, batch: Batch) -> Self | None:
        """The layout of a batch's payload; None unless it is regular and as Headwater itself encodes it."""
        if batch.offsets_ns is not None or batch.utc_ns < 0 or batch.monotonic_ns < 0:
            return None
        if CODECS["cbor"].encode(batch) != payload:
            return None
        formats, numbers, position, look = "!", list[int | None](), 0, 0
        for key in _KEYS:
            at = payload.index(key, look) + len(key)
            size = _SIZES.get(payload[at])
            numbers.append(payload[at] if size is None else None)
            look = at + 1
            if size is not None:
                formats += f"{look - position}s{size}"
                position = look = look + struct.calcsize(size)
        samples_at = len(payload) - batch.data.nbytes
        return cls(payload, batch, struct.Struct(f"{formats}{samples_at - position}s"), tuple(numbers))

    def match(self, payload: bytes) -> tuple[int, int, int] | None:
        """Epoch, index and UTC ns of the first frame; None if the payload differs in more than its numbers."""
        if len(payload) != self._length:
            return None
        parts = self._layout.unpack_from(payload)
        if parts[::2] != self._fixed:
            return None
        found = parts[1::2]
        if len(found) < len(_KEYS):
            free = iter(found)
            found = tuple(next(free) if number is None else number for number in self._numbers)
        epoch, index, utc_ns, _ = found
        if max(found) >= LIMIT:
            return None
        return epoch, index, utc_ns
