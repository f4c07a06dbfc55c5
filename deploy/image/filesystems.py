"""The file systems of the card, each made in a file of its own without being mounted."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from deploy.image.layout import MIB
from deploy.image.tools import in_user_namespace, run

CONFIG_LABEL = "HEADWATER"
SYSTEM_LABEL = "headwater-system"
STATE_LABEL = "headwater-state"

CONFIG_SIZE = 96 * MIB
STATE_SIZE = 256 * MIB
"""Grows to what the card has left at the first start."""

ROOMY = 4096 * MIB
"""More than any system needs; what is not needed is cut off."""

PACK = """
tar=$1 root=$2; shift 2; image=${!#}
mkdir "$root"
tar --extract --preserve-permissions --numeric-owner --xattrs-include='*' --file "$tar" --directory "$root"
"${@:1:$#-1}" "$root" "$image"
e2fsck -fp "$image"
rm -rf "$root"
"""

README = """\
This is the part of the card that every computer can read. The BeagleBone looks here each time it starts:

  authorized_keys   the public keys (~/.ssh/id_ed25519.pub) of who may log in: ssh debian@headwater-….local
  device.toml       Headwater's configuration: which pins, how fast, to which broker
  certificates      the folder that `headwater provision device` made for this board; it is taken off the card
  reset             an empty file of this name puts aside everything that was changed since the card was written

After the first start headwater.html has a link to the traces.
What could not be used is said in headwater-error.txt.

The folders belong to the bootloader.
"""


def make_config(image: Path, boot: Path) -> None:
    """The first partition, FAT: what U-Boot loads, and what people put on it from any computer."""
    _empty(image, CONFIG_SIZE)
    run("mkfs.vfat", "-F", "32", "-n", CONFIG_LABEL, image)
    with tempfile.TemporaryDirectory() as scratch:
        readme = Path(scratch) / "README.txt"
        readme.write_text(README.replace("\n", "\r\n"))
        for path in (*sorted(boot.iterdir()), readme):
            run("mcopy", "-s", "-i", image, path, "::/", extra={"MTOOLS_SKIP_CHECK": "1"})


def make_system(image: Path, tar: Path) -> None:
    """The second partition, ext4: the tree in the tar archive, with owners and rights, as small as resize2fs can.

    It is never written to, so it has no journal and needs no recovery after a power cut.
    """
    _empty(image, ROOMY)
    make = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-m", "0", "-L", SYSTEM_LABEL]
    with tempfile.TemporaryDirectory(dir=image.parent) as scratch:
        # one command, since files of other owners can be made, and removed, in the namespace only
        run(*in_user_namespace(), "bash", "-euc", PACK, "pack", tar, Path(scratch) / "root", *make, "-d", image)
    run("resize2fs", "-M", image)
    os.truncate(image, _length(image))


def make_state(image: Path) -> None:
    """The third partition, ext4 and empty: all that is changed on the board."""
    _empty(image, STATE_SIZE)
    make = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1", "-J", "size=16", "-L", STATE_LABEL]
    run(*make, image)


def _empty(image: Path, length: int) -> None:
    with image.open("wb") as out:
        out.truncate(length)


def _length(image: Path) -> int:
    """The size of an ext4 file system, in bytes."""
    said = run("dumpe2fs", "-h", image)
    fields = dict(re.findall(r"^([^:\n]+):\s*(.*)$", said, re.MULTILINE))
    return int(fields["Block count"]) * int(fields["Block size"])
