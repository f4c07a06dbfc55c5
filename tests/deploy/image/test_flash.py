"""Which disks are written to and which are not, and what is on them afterwards."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.image import flash
from deploy.image.disks import Refused, System
from deploy.image.layout import FAT32, LINUX, MIB, Table, lay_out, sfdisk_script

IMAGE_SIZE = 12 * MIB
"""The bootloader's 4 MiB and two partitions."""


class StandIn(System):
    """A computer whose disks are files."""

    def is_block_device(self, path: Path) -> bool:
        return path.is_file() and path.name != "notes.txt"


class Computer:
    """Below `root`: an own disk with two partitions that are mounted, and a card in a reader."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.system = StandIn(root)
        (root / "proc/self").mkdir(parents=True)
        self.mounts("29 1 8:2 / / rw - ext4 /dev/sda2 rw")
        self.disk("sda", sectors=1 << 21, removable=0, number="8:0", partitions=2)
        self.disk("sdb", sectors=16 * MIB // 512, removable=1, number="8:16", partitions=1)

    def disk(self, name: str, *, sectors: int, removable: int, number: str, partitions: int = 0) -> Path:
        folder = self.root / "sys/devices" / name
        (folder / "holders").mkdir(parents=True)
        (folder / "device").mkdir()
        for key, value in {
            "removable": removable,
            "size": sectors,
            "dev": number,
            "device/model": "Reader",
        }.items():
            (folder / key).write_text(f"{value}\n")
        for kind in ("block", "class/block"):
            (self.root / "sys" / kind).mkdir(parents=True, exist_ok=True)
        (self.root / "sys/block" / name).symlink_to(folder)
        (self.root / "sys/class/block" / name).symlink_to(folder)
        for part in range(1, partitions + 1):
            inside = folder / f"{name}{part}"
            (inside / "holders").mkdir(parents=True)
            (inside / "partition").write_text(f"{part}\n")
            (inside / "dev").write_text(f"{number.partition(':')[0]}:{int(number.partition(':')[2]) + part}\n")
            (self.root / "sys/class/block" / inside.name).symlink_to(inside)
        device = self.dev(name)
        device.parent.mkdir(exist_ok=True)
        with device.open("wb") as out:
            out.truncate(min(sectors * 512, 64 * MIB))
        for part in range(1, partitions + 1):
            self.dev(f"{name}{part}").touch()
        return folder

    def dev(self, name: str) -> Path:
        return self.root / "dev" / name

    def mounts(self, *lines: str) -> None:
        (self.root / "proc/self/mountinfo").write_text("\n".join(lines))

    def refusal(self, name: str, size: int = IMAGE_SIZE) -> str:
        with pytest.raises(Refused) as refused:
            self.system.card(self.dev(name), size)
        return str(refused.value)


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path / "computer")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small disk image with something in it."""
    path = tmp_path / "headwater-test.img"
    path.write_bytes(bytes(range(256)) * (IMAGE_SIZE // 256))
    partitions = lay_out([(FAT32, 4 * MIB), (LINUX, 4 * MIB)])
    script = sfdisk_script(Table(7, partitions))
    command = ["/usr/sbin/sfdisk", "--quiet", "--wipe=never", str(path)]
    subprocess.run(command, input=script, text=True, check=True)
    return path


def test_a_card_in_a_reader_is_accepted_and_named(computer: Computer) -> None:
    assert str(computer.system.card(computer.dev("sdb"), IMAGE_SIZE)).endswith("sdb (Reader, 0.0 GB)")


def test_a_card_in_a_reader_that_is_no_usb_device_is_accepted(computer: Computer) -> None:
    folder = computer.disk("mmcblk0", sectors=1 << 16, removable=0, number="179:0")
    (folder / "device/type").write_text("SD\n")
    assert computer.system.card(computer.dev("mmcblk0"), IMAGE_SIZE)


def test_a_built_in_disk_is_refused_with_the_removable_ones(computer: Computer) -> None:
    refusal = computer.refusal("sda")
    assert "not removable" in refusal
    assert refusal.endswith("removable disks here: /dev/sdb")


def test_built_in_emmc_is_refused(computer: Computer) -> None:
    folder = computer.disk("mmcblk1", sectors=1 << 16, removable=0, number="179:8")
    (folder / "device/type").write_text("MMC\n")
    assert "not removable" in computer.refusal("mmcblk1")


def test_a_partition_is_refused_with_its_disk(computer: Computer) -> None:
    assert computer.refusal("sdb1").endswith("is a partition; name the whole disk, /dev/sdb")


def test_what_is_no_disk_or_not_there_is_refused(computer: Computer) -> None:
    computer.dev("notes.txt").touch()
    assert "is no disk" in computer.refusal("notes.txt")
    assert "is not there" in computer.refusal("sdz")


def test_a_mounted_card_is_refused_by_the_number_of_its_device(computer: Computer) -> None:
    computer.mounts(
        "29 1 8:2 / / rw - ext4 /dev/sda2 rw",
        r"30 1 8:17 / /media/my\040card rw shared:1 - vfat /dev/disk/by-id/x rw",
    )
    assert computer.refusal("sdb").endswith("is mounted on /media/my card: umount /media/my card")


def test_a_card_mounted_by_a_file_system_with_numbers_of_its_own_is_refused(computer: Computer) -> None:
    computer.mounts("30 1 0:44 / /media/x rw - btrfs /dev/sdb1 rw")
    assert "/dev/sdb1 is mounted on /media/x" in computer.refusal("sdb")


def test_a_card_that_is_swapped_to_is_refused(computer: Computer) -> None:
    (computer.root / "proc/swaps").write_text("Filename Type Size Used Priority\n/dev/sdb1 partition 1 0 -2\n")
    assert "swapoff /dev/sdb1" in computer.refusal("sdb")


def test_a_card_that_something_is_made_of_is_refused(computer: Computer) -> None:
    (computer.root / "sys/devices/sdb/sdb1/holders/dm-0").mkdir()
    assert "/dev/sdb1 is part of dm-0" in computer.refusal("sdb")


def test_an_empty_reader_a_small_card_and_a_large_disk_are_refused(computer: Computer) -> None:
    computer.disk("sdc", sectors=0, removable=1, number="8:32")
    computer.disk("sdd", sectors=(2 << 40) // 512, removable=1, number="8:48")
    assert computer.refusal("sdc").endswith("has no card in it")
    assert "which no SD card has" in computer.refusal("sdd")
    assert "has 16 MiB, the image 17 MiB" in computer.refusal("sdb", 17 * MIB)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "xz"])
def test_the_card_holds_the_image_afterwards(computer: Computer, image: Path, packed: bool) -> None:
    whole = image.read_bytes()
    if packed:
        image = image.with_suffix(".img.xz")
        image.write_bytes(lzma.compress(whole, preset=0))
    card = computer.dev("sdb")
    assert flash.main([str(image), str(card), "--yes"], computer.system) == 0
    assert card.read_bytes()[:IMAGE_SIZE] == whole


def test_a_card_that_forgets_is_found_out(
    computer: Computer, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = computer.dev("sdb")

    def forget(descriptor: int, length: int) -> None:
        with card.open("r+b") as file:
            file.seek(9 * MIB)
            file.write(b"something else")

    monkeypatch.setattr(flash, "_forget", forget)
    assert flash.main([str(image), str(card), "--yes"], computer.system) == 2
    assert "does not hold what was written to it" in capsys.readouterr().err


def test_nothing_is_written_where_nobody_can_be_asked(
    computer: Computer, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = computer.dev("sdb").read_bytes()
    with Path("/dev/null").open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        assert flash.main([str(image), str(computer.dev("sdb"))], computer.system) == 2
    assert "YES=1" in capsys.readouterr().err
    assert computer.dev("sdb").read_bytes() == before


def test_what_is_no_disk_image_is_not_written(computer: Computer, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = computer.root / "wrong.img"
    wrong.write_bytes(bytes(MIB))
    assert flash.main([str(wrong), str(computer.dev("sdb")), "--yes"], computer.system) == 2
    assert "no disk image" in capsys.readouterr().err
    wrong = wrong.with_suffix(".img.xz")
    wrong.write_bytes(b"no archive")
    assert flash.main([str(wrong), str(computer.dev("sdb")), "--yes"], computer.system) == 2
    assert "wrong.img.xz" in capsys.readouterr().err


def test_the_disks_of_the_real_computer_are_refused_in_one_line(image: Path) -> None:
    disks = [disk.name for disk in Path("/sys/block").iterdir() if (disk / "removable").read_text().strip() == "0"]
    devices = [f"/dev/{name}" for name in disks if Path(f"/dev/{name}").exists()]
    for device in (*devices[:1], "/dev/null"):
        command = [sys.executable, "-m", "deploy.image.flash", str(image), device, "--yes"]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 2
        assert "is not removable" in run.stderr or "is no disk" in run.stderr
        assert len(run.stderr.splitlines()) == 1
