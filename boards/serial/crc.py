"""Cyclic redundancy checks by name.

Names and check values follow G. Cook's catalogue of parametrised CRC algorithms; `crc16-ccitt` is what
instruments' manuals mostly mean by it, CRC-16/IBM-3740 (polynomial 0x1021, initial value 0xFFFF).
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

CrcName = Literal["crc8", "crc8-maxim", "crc16-ccitt", "crc16-xmodem", "crc16-kermit", "crc16-modbus", "crc32"]
ByteOrder = Literal["little", "big"]
CrcCovers = Literal["payload", "frame"]
"""Whether a check is over the payload alone or over the sync bytes too."""


@dataclass(frozen=True, slots=True)
class Crc:
    """A check value over bytes, and how many bytes it takes on the wire."""

    width: int
    compute: Callable[[bytes], int]

    def pack(self, data: bytes, order: ByteOrder) -> bytes:
        """The check value of `data` as it stands on the wire."""
        return self.compute(data).to_bytes(self.width, order)


def make_crc(name: CrcName) -> Crc:
    """The check of that name."""
    return CRCS[name]


def _reflected_table(polynomial: int) -> tuple[int, ...]:
    """What one byte does to a register that shifts right; `polynomial` in reversed bit order."""
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ (polynomial if register & 1 else 0)
        table.append(register)
    return tuple(table)


def _reflected(polynomial: int, start: int) -> Callable[[bytes], int]:
    table = _reflected_table(polynomial)

    def compute(data: bytes) -> int:
        register = start
        for byte in data:
            register = register >> 8 ^ table[(register ^ byte) & 0xFF]
        return register

    return compute


def _crc8_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = (register << 1 ^ (0x07 if register & 0x80 else 0)) & 0xFF
        table.append(register)
    return tuple(table)


_CRC8 = _crc8_table()


def _crc8(data: bytes) -> int:
    register = 0
    for byte in data:
        register = _CRC8[register ^ byte]
    return register


CRCS: dict[CrcName, Crc] = {
    "crc8": Crc(1, _crc8),
    "crc8-maxim": Crc(1, _reflected(0x8C, 0)),
    "crc16-ccitt": Crc(2, lambda data: binascii.crc_hqx(data, 0xFFFF)),
    "crc16-xmodem": Crc(2, lambda data: binascii.crc_hqx(data, 0)),
    "crc16-kermit": Crc(2, _reflected(0x8408, 0)),
    "crc16-modbus": Crc(2, _reflected(0xA001, 0xFFFF)),
    "crc32": Crc(4, binascii.crc32),
}
