"""Which disks of this computer a card may be written to: removable ones that nobody uses, as sysfs(5) tells."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.image.layout import SECTOR

LARGEST = 1 << 40
"""Bytes; there are SD cards of 1 TB, and what is larger is somebody's backup."""


class Refused(ValueError):
    """The disk must not be overwritten; one line that says why."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk; `size` in bytes."""

    path: Path
    size: int
    model: str

    def __str__(self) -> str:
        return f"{self.path} ({self.model or 'no name'}, {self.size / 1e9:.1f} GB)"


@dataclass(frozen=True)
class System:
    """The computer's files below a root, so that a stand-in tree can take its place."""

    root: Path = Path("/")

    def is_block_device(self, path: Path) -> bool:
        """Whether the path is a block device."""
        return stat.S_ISBLK(path.stat().st_mode)

    def card(self, path: Path, image_size: int) -> Disk:
        """The disk at `path`, if an image of that many bytes may be written to it. Raises Refused."""
        name = self._name_of(path)
        folder = self.root / "sys/block" / name
        self._check_removable(path, folder)
        size = int(_text(folder / "size") or 0) * SECTOR
        if size == 0:
            raise Refused(f"{path} has no card in it")
        if size > LARGEST:
            raise Refused(f"{path} has {size / 1e12:.1f} TB, which no SD card has")
        if size < image_size:
            raise Refused(f"{path} has {size >> 20} MiB, the image {image_size >> 20} MiB: take a larger card")
        self._check_unused(path, folder)
        model = " ".join(filter(None, (_text(folder / "device" / key) for key in ("vendor", "model", "name"))))
        return Disk(path, size, model)

    def cards(self) -> list[str]:
        """What could be meant: removable disks with something in them."""
        folders = sorted((self.root / "sys/block").glob("*"))
        return [f"/dev/{each.name}" for each in folders if _removable(each) and int(_text(each / "size") or 0)]

    def _name_of(self, path: Path) -> str:
        try:
            real = path.resolve(strict=True)
            block = self.is_block_device(real)
        except OSError as error:
            raise Refused(f"{path} is not there ({error.strerror}); {self._hint()}") from None
        if not block:
            raise Refused(f"{path} is no disk; {self._hint()}")
        partition = self.root / "sys/class/block" / real.name
        if (partition / "partition").exists():
            raise Refused(f"{path} is a partition; name the whole disk, /dev/{partition.resolve().parent.name}")
        if not (self.root / "sys/block" / real.name).exists():
            raise Refused(f"{path} is not in /sys/block, so nothing is known of it; {self._hint()}")
        return real.name

    def _hint(self) -> str:
        return f"removable disks here: {', '.join(self.cards()) or 'none; put the card into its reader'}"

    def _check_removable(self, path: Path, folder: Path) -> None:
        if not _removable(folder):
            raise Refused(f"{path} is not removable: it may be this computer's own disk; {self._hint()}")

    def _check_unused(self, path: Path, folder: Path) -> None:
        parts = [folder, *(each for each in folder.iterdir() if (each / "partition").exists())]
        numbers = {_text(part / "dev") for part in parts}
        names = {f"/dev/{part.name}" for part in parts}
        for number, place, source in self._mounts():
            if number in numbers or source in names:
                raise Refused(f"{source} is mounted on {place}: umount {place}")
        for line in (_text(self.root / "proc/swaps") or "").splitlines()[1:]:
            if line.split()[0] in names:
                raise Refused(f"{line.split()[0]} is used for swapping: swapoff {line.split()[0]}")
        for part in parts:
            for holder in (part / "holders").glob("*"):
                raise Refused(
                    f"/dev/{part.name} is part of {holder.name} (encryption, LVM or RAID): close that first"
                )

    def _mounts(self) -> Iterator[tuple[str, str, str]]:
        """Device number, mount point and source of all mounts (proc(5), mountinfo)."""
        for line in (_text(self.root / "proc/self/mountinfo") or "").splitlines():
            before, _, after = line.partition(" - ")
            fields = before.split()
            yield fields[2], fields[4].replace("\\040", " "), after.split()[1]


def _removable(folder: Path) -> bool:
    # card readers of laptops are no USB devices, and say 0 although the card comes out
    return _text(folder / "removable") == "1" or _text(folder / "device/type") == "SD"


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
