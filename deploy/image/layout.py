"""Where what is on the card: a partition table of the old kind (MBR), and the bootloader outside of partitions.

The AM335x looks for its bootloader at fixed places of the card; the first partition begins behind it. Pure: bytes
and numbers, no files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SECTOR = 512
MIB = 1 << 20

MLO_AT = 128 << 10
UBOOT_AT = 384 << 10
FIRST_PARTITION_AT = 4 * MIB

FAT32 = 0x0C
LINUX = 0x83
EXTENDED = (0x05, 0x0F, 0x85)
GPT = 0xEE

DISK_ID = 0x48445752
"""The id of each new card; a copy in the eMMC gets another one, so that both may be there."""

_ID_AT = 440
_TABLE_AT = 446
_ENTRY = struct.Struct("<B3xB3xII")
_SIGNATURE = b"\x55\xaa"


class LayoutError(ValueError):
    """The bytes are no partition table that can be used, or parts of a card overlap."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A primary partition; `start` and `size` in sectors of 512 bytes."""

    number: int
    type: int
    start: int
    size: int
    bootable: bool = False

    @property
    def offset(self) -> int:
        """Where it begins, in bytes."""
        return self.start * SECTOR

    @property
    def length(self) -> int:
        """How long it is, in bytes."""
        return self.size * SECTOR

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Table:
    """A disk's id and its primary partitions, in their order in the table."""

    disk_id: int
    partitions: tuple[Partition, ...]


def read_table(sector: bytes) -> Table:
    """The partition table in a disk's first sector. Raises LayoutError."""
    if len(sector) < SECTOR or sector[SECTOR - 2 : SECTOR] != _SIGNATURE:
        raise LayoutError(
            "the first sector ends without 55 aa: this is no disk image with a partition table (MBR)"
        )
    (disk_id,) = struct.unpack_from("<I", sector, _ID_AT)
    found = []
    for place in range(4):
        status, kind, start, size = _ENTRY.unpack_from(sector, _TABLE_AT + place * _ENTRY.size)
        if kind == GPT:
            raise LayoutError("the partition table is a GPT; a BeagleBone's card has an MBR")
        if kind and kind not in EXTENDED and size:
            found.append(Partition(place + 1, kind, start, size, status == 0x80))
    if not found:
        raise LayoutError("the partition table has no primary partition")
    return Table(disk_id, tuple(found))


def lay_out(sizes: Sequence[tuple[int, int]]) -> tuple[Partition, ...]:
    """Partitions of the given (type, bytes), one behind the other, in whole MiB; the first boots."""
    partitions = []
    at = FIRST_PARTITION_AT
    for number, (kind, length) in enumerate(sizes, 1):
        whole = round_up(length)
        partitions.append(Partition(number, kind, at // SECTOR, whole // SECTOR, bootable=number == 1))
        at += whole
    return tuple(partitions)


def sfdisk_script(table: Table) -> str:
    """The table as sfdisk(8) reads it."""
    lines = ["label: dos", f"label-id: {table.disk_id:#010x}", "unit: sectors", ""]
    lines += [
        f"start={each.start}, size={each.size}, type={each.type:x}{', bootable' if each.bootable else ''}"
        for each in table.partitions
    ]
    return "\n".join(lines) + "\n"


def check_room(name: str, at: int, length: int, end: int) -> None:
    """Raise LayoutError if what is put there reaches beyond `end`."""
    if at + length > end:
        raise LayoutError(f"{name} has {length} bytes; from byte {at} there is room for {end - at}")


def round_up(length: int, step: int = MIB) -> int:
    """The next whole number of steps."""
    return -(-length // step) * step


def last_linux(partitions: Iterable[Partition]) -> Partition:
    """The Linux partition that lies last: where a BeagleBoard image has its system. Raises LayoutError."""
    linux = [each for each in partitions if each.type == LINUX]
    if not linux:
        raise LayoutError("the partition table has no Linux partition (type 83)")
    return max(linux, key=lambda each: each.start)
