"""The contract between a framer and whoever feeds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

BadReason = Literal["garbage", "overlong"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame, without what only marks it: sync bytes, terminator, stuffing, check."""

    data: bytes
    start: int
    """Offset of its first byte on the wire, counted from the opening of the port."""
    end: int
    """Offset after its last byte, the terminator or check included."""


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes that stand where a frame should have been: one frame is lost."""

    reason: BadReason
    start: int
    end: int


class Framer(Protocol):
    """Bytes in, in any chunks; frames out, in the order of the wire. Never raises, never grows.

    At most `limit` bytes are held between calls. What comes out does not depend on how the bytes were cut
    into chunks, and every byte belongs to one frame, to one `Bad`, to an empty frame, or to what is held.
    """

    limit: int
    checked: bool
    """Whether a frame that comes out was verified (by a CRC), so that half a frame can't pass for a whole one."""

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame have come."""

    def feed(self, chunk: bytes) -> list[Frame | Bad]:
        """The frames that the chunk completes."""
