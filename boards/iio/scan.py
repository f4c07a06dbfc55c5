"""What a captured scan looks like in memory, and how it becomes frames. Pure: bytes in, arrays out.

A *scan* is one value of every enabled channel, in the order of `scan_elements/*_index`. Each value has the type
that `scan_elements/*_type` says, such as `le:u12/16>>0`, and lies at a multiple of its own size; the timestamp,
if there is one, comes last (kernel: Documentation/ABI/testing/sysfs-bus-iio,
Documentation/driver-api/iio/buffers.rst and `iio_compute_scan_bytes()` in drivers/iio/industrialio-buffer.c).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boards.base import Samples
from boards.errors import BoardError

TIMESTAMP = "timestamp"

_TYPE = re.compile(r"(le|be):([us])(\d+)/(\d+)(?:X(\d+))?(?:>>(\d+))?")


@dataclass(frozen=True, slots=True)
class ScanType:
    """How one value is stored: `[be|le]:[s|u]bits/storagebits[Xrepeat][>>shift]`."""

    little_endian: bool
    signed: bool
    bits: int
    storage_bits: int
    repeat: int = 1
    shift: int = 0

    @classmethod
    def parse(cls, text: str) -> ScanType:
        """The type that a `scan_elements/*_type` file holds; raises BoardError for one that makes no sense."""
        match = _TYPE.fullmatch(text.strip())
        if match is None:
            raise BoardError(f"scan type {text.strip()!r} is not of the form le:u12/16>>0")
        order, sign, bits, storage, repeat, shift = match.groups()
        parsed = cls(order == "le", sign == "s", int(bits), int(storage), int(repeat or 1), int(shift or 0))
        parsed._validate(text.strip())
        return parsed

    def _validate(self, text: str) -> None:
        if self.storage_bits not in (8, 16, 32, 64):
            raise BoardError(
                f"scan type {text!r} has {self.storage_bits} storage bits; 8, 16, 32 and 64 can be read"
            )
        if self.bits < 1 or self.bits + self.shift > self.storage_bits:
            raise BoardError(
                f"scan type {text!r}: {self.bits} bits shifted by {self.shift} do not fit its storage"
            )
        if self.repeat < 1 or self.repeat & (self.repeat - 1):
            raise BoardError(f"scan type {text!r} repeats {self.repeat} times; powers of two can be read")

    @property
    def size(self) -> int:
        """Bytes of all repeats; also the alignment, as in `iio_compute_scan_bytes()`."""
        return self.storage_bits // 8 * self.repeat

    @property
    def stored(self) -> np.dtype[Any]:
        """The unsigned integer that holds one value, in its byte order."""
        return np.dtype(f"{'<' if self.little_endian else '>'}u{self.storage_bits // 8}")


@dataclass(frozen=True, slots=True)
class Element:
    """An enabled channel's place in the scan."""

    name: str
    index: int
    type: ScanType


class ScanLayout:
    """Where each enabled channel lies within a scan, and how scans become frames.

    `columns` are names of elements in the order that the frames shall have; a repeated element's values are
    named `name[0]`, `name[1]` and so on. An element that no column names is skipped, and the element named
    `timestamp` gives each scan's time.
    """

    def __init__(self, elements: Sequence[Element], columns: Sequence[str]) -> None:
        ordered = sorted(elements, key=lambda element: (element.name == TIMESTAMP, element.index))
        offsets: dict[str, tuple[int, ScanType]] = {}
        end = 0
        for element in ordered:
            start = _align(end, element.type.size)
            each = element.type.storage_bits // 8
            for part, name in enumerate(value_names(element)):
                offsets[name] = (start + part * each, element.type)
            end = start + element.type.size
        self.size = _align(end, max(element.type.size for element in ordered))
        """Bytes of one scan."""
        self.columns = [offsets[name] for name in columns]
        self.timestamp = offsets.get(TIMESTAMP)
        self.dtype = _narrowest([kind for _, kind in self.columns])
        """The type of the frames: the narrowest that holds every column."""
        self._adjacent = self._as_one_array()

    def frames(self, scans: NDArray[np.uint8]) -> Samples:
        """Whole scans, shape (scans * size,), as a new array of shape (scans, columns)."""
        count = len(scans) // self.size
        if not count:
            return np.empty((0, len(self.columns)), self.dtype)
        if self._adjacent is not None:
            offset, stored, mask = self._adjacent
            words = np.ndarray(
                (count, len(self.columns)), stored, scans.data, offset, (self.size, stored.itemsize)
            )
            masked: Samples = np.bitwise_and(words, mask)
            return masked.view(self.dtype)
        frames = np.empty((count, len(self.columns)), self.dtype)
        for column, (offset, kind) in enumerate(self.columns):
            frames[:, column] = _decode(np.ndarray((count,), kind.stored, scans.data, offset, (self.size,)), kind)
        return frames

    def stamps(self, scans: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The scans' times in ns, shape (scans,), as a new array. Only with a timestamp element."""
        assert self.timestamp is not None
        if not len(scans):
            return np.empty(0, np.int64)
        offset, kind = self.timestamp
        stored = np.ndarray((len(scans) // self.size,), kind.stored, scans.data, offset, (self.size,))
        return _decode(stored, kind).astype(np.int64)

    def _as_one_array(self) -> tuple[int, np.dtype[Any], int] | None:
        """(offset, type, mask) if one masking copy decodes all columns: a usual ADC's case, and the fast one."""
        first, kind = self.columns[0]
        each = kind.storage_bits // 8
        alike = all(entry == (first + place * each, kind) for place, entry in enumerate(self.columns))
        native = kind.little_endian and not kind.signed and kind.shift == 0 and kind.repeat == 1
        if not (alike and native and self.dtype.itemsize == each):
            return None
        return first, kind.stored, (1 << kind.bits) - 1


def value_names(element: Element) -> list[str]:
    """The names of an element's values: its own, or `name[0]`, `name[1]` … of a repeated one."""
    if element.type.repeat == 1:
        return [element.name]
    return [f"{element.name}[{part}]" for part in range(element.type.repeat)]


def _align(position: int, size: int) -> int:
    return -(-position // size) * size


def _decode(stored: NDArray[Any], kind: ScanType) -> Samples:
    """Shift, then mask, then extend the sign, in the storage's own width."""
    values = stored.astype(stored.dtype.newbyteorder("="))
    if kind.signed:
        # Bring the sign bit to the top, and let the arithmetic shift bring its copies down.
        left = kind.storage_bits - kind.bits - kind.shift
        return (values << left).view(f"i{kind.storage_bits // 8}") >> (left + kind.shift)
    return (values >> kind.shift) & ((1 << kind.bits) - 1)


def _narrowest(kinds: Sequence[ScanType]) -> np.dtype[Any]:
    signed = max((kind.bits for kind in kinds if kind.signed), default=0)
    unsigned = max((kind.bits for kind in kinds if not kind.signed), default=0)
    for width in (16, 32, 64):
        if max(signed, unsigned + 1) <= width:
            return np.dtype(f"i{width // 8}")
        if not signed and unsigned <= width:
            return np.dtype(f"u{width // 8}")
    raise BoardError("a signed and an unsigned 64-bit channel do not fit one stream; put them into two")
