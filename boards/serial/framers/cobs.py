"""Consistent Overhead Byte Stuffing: frames without a zero byte, ended by one.

S. Cheshire, M. Baker: Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on Networking 7 (2), 1999.

Which frames come out: every well-formed frame that comes after a zero byte (or is the first). Garbage that
does not end with a zero joins the frame after it, so careful senders also begin a frame with one.
"""

from __future__ import annotations

from boards.serial.crc import ByteOrder, Crc
from boards.serial.framers.base import Bad, Frame

_LONGEST_GROUP = 254


def encode(payload: bytes) -> bytes:
    """The payload stuffed, without the zero that ends a frame."""
    stuffed = bytearray()
    *groups, last = payload.split(b"\0")
    for group in groups:
        rest = _stuff_full_groups(group, stuffed)
        stuffed.append(len(rest) + 1)
        stuffed += rest
    rest = _stuff_full_groups(last, stuffed)
    if rest or not last:
        stuffed.append(len(rest) + 1)
        stuffed += rest
    return bytes(stuffed)


def _stuff_full_groups(group: bytes, stuffed: bytearray) -> bytes:
    """Append the group's runs of 254 bytes, which stand for no zero; returns what remains of it."""
    while len(group) >= _LONGEST_GROUP:
        stuffed.append(0xFF)
        stuffed += group[:_LONGEST_GROUP]
        group = group[_LONGEST_GROUP:]
    return group


def decode(stuffed: bytes) -> bytes | None:
    """The payload of a frame without its zero; None if it is not well formed."""
    payload = bytearray()
    at = 0
    while at < len(stuffed):
        code = stuffed[at]
        group = stuffed[at + 1 : at + code]
        if code == 0 or len(group) != code - 1:
            return None
        payload += group
        at += code
        if code <= _LONGEST_GROUP and at < len(stuffed):
            payload.append(0)
    return bytes(payload)


class CobsFramer:
    """Splits at zero bytes, unstuffs, and verifies the CRC over the payload if there is one.

    Empty frames are dropped: repeated zeros are how senders fill silence.
    """

    def __init__(self, max_length: int = 1024, crc: Crc | None = None, crc_order: ByteOrder = "little") -> None:
        self.checked = crc is not None
        self.limit = max_length
        self._crc = crc
        self._crc_order: ByteOrder = crc_order
        self._held = b""
        self._offset = 0  # of the first held byte
        self._overlong = False

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame have come."""
        return len(self._held)

    def feed(self, chunk: bytes) -> list[Frame | Bad]:
        """The frames that the chunk completes."""
        *frames, rest = (self._held + chunk).split(b"\0")
        found: list[Frame | Bad] = []
        for stuffed in frames:
            end = self._offset + len(stuffed) + 1
            if stuffed and not self._overlong:
                found.append(self._unpack(stuffed, end))
            self._offset = end
            self._overlong = False
        if not self._overlong and len(rest) > self.limit:
            found.append(self._too_long())
            self._overlong = True
        if self._overlong:
            self._offset += len(rest)
            rest = b""
        self._held = rest
        return found

    def _unpack(self, stuffed: bytes, end: int) -> Frame | Bad:
        if len(stuffed) > self.limit:
            return self._too_long()
        payload = decode(stuffed)
        if payload is not None and self._crc is not None:
            payload = self._verified(payload, self._crc)
        return Bad("garbage", self._offset, end) if payload is None else Frame(payload, self._offset, end)

    def _verified(self, payload: bytes, crc: Crc) -> bytes | None:
        body, check = payload[: -crc.width], payload[-crc.width :]
        return body if len(check) == crc.width and crc.pack(body, self._crc_order) == check else None

    def _too_long(self) -> Bad:
        return Bad("overlong", self._offset, self._offset + self.limit + 1)
