"""`make flash`: write an image to an SD card, and read it back.

python -m deploy.image.flash dist/headwater-beaglebone-0.1.0.img /dev/sdX
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import lzma
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from deploy.image.disks import Disk, Refused, System
from deploy.image.layout import SECTOR, LayoutError, read_table, round_up

BLOCK = 4 << 20
BLKFLSBUF = 0x1261
"""ioctl(2): forget what is cached of a block device."""


class FlashError(RuntimeError):
    """The card was not written as it should be."""


def opened(image: Path) -> IO[bytes]:
    """The image's bytes, whether it is compressed or not."""
    return lzma.open(image) if image.suffix == ".xz" else image.open("rb")


def image_size(image: Path) -> int:
    """How many bytes the image is when it is unpacked. Raises LayoutError if it is no disk image."""
    with opened(image) as file:
        table = read_table(file.read(SECTOR))
    packed = image.suffix == ".xz"
    return max(part.end for part in table.partitions) if packed else image.stat().st_size


def blocks(image: Path) -> Iterator[bytes]:
    """The image in large pieces, the last one filled up to whole sectors."""
    with opened(image) as file:
        while block := file.read(BLOCK):
            yield block.ljust(round_up(len(block), SECTOR), b"\0")


def write(image: Path, target: Path, total: int) -> None:
    """Write the image to the target, and compare what is there with what was written. Raises FlashError."""
    # O_EXCL on a block device: the kernel itself refuses if somebody has it mounted
    descriptor = os.open(target, os.O_RDWR | os.O_EXCL)
    try:
        digest = hashlib.sha256()
        length = 0
        for block in blocks(image):
            _write_all(descriptor, block)
            digest.update(block)
            length += len(block)
            _progress("writing", length, total)
        os.fsync(descriptor)
        _forget(descriptor, length)
        found = _read_back(descriptor, length, total)
    except OSError as error:
        raise FlashError(f"{target}: {error.strerror}") from None
    finally:
        os.close(descriptor)
        print(file=sys.stderr)
    if found != digest.hexdigest():
        raise FlashError(
            f"{target} does not hold what was written to it: the card or its reader is bad, or it is fake"
        )


def _write_all(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def _forget(descriptor: int, length: int) -> None:
    with contextlib.suppress(OSError):  # a file has no such call
        fcntl.ioctl(descriptor, BLKFLSBUF, 0)
    os.posix_fadvise(descriptor, 0, length, os.POSIX_FADV_DONTNEED)


def _read_back(descriptor: int, length: int, total: int) -> str:
    digest = hashlib.sha256()
    left = length
    os.lseek(descriptor, 0, os.SEEK_SET)
    while left and (block := os.read(descriptor, min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
        _progress("checking", length - left, total)
    return digest.hexdigest()


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\rheadwater: {what} {100 * done // max(total, 1)} % ", end="", file=sys.stderr, flush=True)


def agreed(disk: Disk) -> bool:
    """Whether somebody typed yes."""
    if not sys.stdin.isatty():
        raise Refused(f"nobody is there to confirm that {disk} may be overwritten: YES=1 says so")
    return input(f"All that is on {disk} will be overwritten. Type yes to go on: ") == "yes"


def newest_image(folder: Path) -> Path:
    """The image that was made last. Raises Refused."""
    found = sorted(folder.glob("headwater-*.img"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise Refused(f"no headwater-*.img in {folder}: make image")
    return found[-1]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="make flash", description=__doc__, formatter_class=form)
    parser.add_argument("image", help=".img or .img.xz; empty for the newest in dist/")
    parser.add_argument("device", help="the card's disk, such as /dev/sdb or /dev/mmcblk0")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, system: System | None = None) -> int:
    """Write the card; the exit code."""
    options = parse(arguments)
    computer = system or System()
    try:
        if not options.device:
            raise Refused(f"which card? make flash DEV=/dev/…; here are: {', '.join(computer.cards()) or 'none'}")
        image = Path(options.image) if options.image else newest_image(Path("dist"))
        size = image_size(image)
        disk = computer.card(Path(options.device), size)
        if not options.yes and not agreed(disk):
            raise Refused("nothing was written")
        write(image, disk.path, size)
    except (Refused, FlashError, LayoutError) as error:
        print(f"headwater: {error}", file=sys.stderr)
        return 2
    except (OSError, lzma.LZMAError) as error:
        print(f"headwater: {options.image or 'the image'}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nheadwater: interrupted: the card holds half an image", file=sys.stderr)
        return 2
    print(f"headwater: {disk} holds {image.name}: put it into the board", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
