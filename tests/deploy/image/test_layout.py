"""Where what is on the card."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.image.layout import (
    DISK_ID,
    FAT32,
    FIRST_PARTITION_AT,
    LINUX,
    MIB,
    LayoutError,
    Table,
    check_room,
    last_linux,
    lay_out,
    read_table,
    sfdisk_script,
)

PARTITIONS = lay_out([(FAT32, 96 * MIB), (LINUX, 500 * MIB + 1), (LINUX, 256 * MIB)])


def sfdisk(path: Path, script: str, size: int) -> bytes:
    """The first sector of a disk that sfdisk has partitioned."""
    with path.open("wb") as out:
        out.truncate(size)
    subprocess.run(["/usr/sbin/sfdisk", "--quiet", str(path)], input=script, text=True, check=True)
    return path.read_bytes()[:512]


def test_partitions_follow_each_other_in_whole_mebibytes_behind_the_bootloader() -> None:
    assert PARTITIONS[0].offset == FIRST_PARTITION_AT
    assert all(part.offset % MIB == 0 for part in PARTITIONS)
    assert all(before.end == after.offset for before, after in pairwise(PARTITIONS))
    assert PARTITIONS[1].length == 501 * MIB
    assert [part.bootable for part in PARTITIONS] == [True, False, False]


def test_what_sfdisk_makes_of_the_script_is_read_back_the_same(tmp_path: Path) -> None:
    table = Table(DISK_ID, PARTITIONS)
    sector = sfdisk(tmp_path / "disk", sfdisk_script(table), PARTITIONS[-1].end)
    assert read_table(sector) == table


def test_an_extended_partition_is_left_out(tmp_path: Path) -> None:
    script = "label: dos\n2048,2048,83\n4096,8192,5\n6144,2048,83\n"
    assert [part.number for part in read_table(sfdisk(tmp_path / "disk", script, 16 * MIB)).partitions] == [1]


@pytest.mark.parametrize(
    ("sector", "why"),
    [
        (b"", "ends without 55 aa"),
        (bytes(512), "ends without 55 aa"),
        (bytes(510) + b"\x55\xaa", "no primary partition"),
    ],
)
def test_what_is_no_partition_table_is_refused_with_the_reason(sector: bytes, why: str) -> None:
    with pytest.raises(LayoutError, match=why):
        read_table(sector)


def test_a_gpt_is_refused(tmp_path: Path) -> None:
    sector = sfdisk(tmp_path / "disk", "label: gpt\n2048,2048\n", 16 * MIB)
    with pytest.raises(LayoutError, match="GPT"):
        read_table(sector)


def test_a_bootloader_that_does_not_fit_is_refused_with_both_sizes() -> None:
    check_room("MLO", 100, 50, 150)
    with pytest.raises(LayoutError, match="MLO has 51 bytes; from byte 100 there is room for 50"):
        check_room("MLO", 100, 51, 150)


def test_the_system_of_another_image_is_on_its_last_linux_partition() -> None:
    assert last_linux(PARTITIONS) is PARTITIONS[2]
    with pytest.raises(LayoutError, match="no Linux partition"):
        last_linux(PARTITIONS[:1])
