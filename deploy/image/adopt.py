"""`make image BASE=…`: Headwater in somebody else's image, such as one of BeagleBoard's.

Works on images with a partition table of the old kind whose last Linux partition is an ext4 with Debian for armhf.
"""

from __future__ import annotations

import lzma
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.image import package
from deploy.image.apt import Apt
from deploy.image.debian import ARCHITECTURE, VERSIONS, Archive, ArchiveError
from deploy.image.layout import MIB, SECTOR, Partition, last_linux, read_table, round_up
from deploy.image.tools import ImageError, run, say
from deploy.image.workshop import Workshop

SCRIPT = Path(__file__).parent / "adopt.sh"
OVERLAY = Path(__file__).parent / "BB-ADCFAST-00A0.dts"
SPARE = 128 * MIB
"""What is left free on the system's partition at least; it grows on the board."""


@dataclass(frozen=True, slots=True)
class System:
    """What is on an image: where its system is, and what is installed there."""

    partition: Partition
    release: str
    status: bytes
    free: int
    """Bytes."""


def adopt(base: Path, deb: Path, ssh_key: str, archive: Archive, version: str, out: Path, cache: Path) -> Path:
    """Make the image with Headwater; its path. Raises ImageError or LayoutError."""
    image = out / f"headwater-{base.name.removesuffix('.xz')}"
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        work = Path(scratch)
        unfinished = unpack(base, work / image.name)
        system = examine(unfinished)
        if system.release not in VERSIONS:
            raise ImageError(f"{base} has Debian {system.release!r}; Headwater needs one of {', '.join(VERSIONS)}")
        packages = missing(system, replace(archive, suite=system.release), deb, version, work)
        say(f"{base.name}: Debian {system.release}, {len(packages)} packages to install")
        grow(unfinished, system, sum(map(installed_size, packages)) + SPARE)
        files = payload(packages, ssh_key, work)
        workshop = Workshop.make(cache, replace(archive, suite="bookworm"))
        say("installing them in a virtual machine: some minutes …")
        workshop.work(unfinished, system.partition.number, files, cache / f"{image.name}.log")
        run("e2fsck", "-fn", f"{unfinished}?offset={system.partition.offset}")
        unfinished.rename(image)
    return image


def unpack(base: Path, image: Path) -> Path:
    """Copy or decompress the image; where it is now."""
    try:
        if base.suffix != ".xz":
            run("cp", "--sparse=always", base, image)
        else:
            say(f"unpacking {base.name} …")
            with lzma.open(base) as packed, image.open("wb") as whole:
                shutil.copyfileobj(packed, whole, 4 * MIB)
    except (OSError, lzma.LZMAError) as error:
        raise ImageError(f"BASE: {base}: {error}") from None
    return image


def examine(image: Path) -> System:
    """Find the system on the image. Raises LayoutError, or ImageError if it is no Debian for the board."""
    with image.open("rb") as file:
        partition = last_linux(read_table(file.read(SECTOR)).partitions)
    at = f"{image}?offset={partition.offset}"
    try:
        fields = dict(re.findall(r"^([^:\n]+):\s*(\d+)", run("dumpe2fs", "-h", at), re.MULTILINE))
    except ImageError:
        raise ImageError(f"{image.name}: partition {partition.number} has no ext4") from None
    release = re.search(r"^VERSION_CODENAME=(\w+)", read(at, "/etc/os-release"), re.MULTILINE)
    status = read(at, "/var/lib/dpkg/status")
    if release is None or not re.search(rf"^Architecture: {ARCHITECTURE}$", status, re.MULTILINE):
        raise ImageError(f"{image.name}: partition {partition.number} has no Debian for {ARCHITECTURE}")
    free = int(fields["Free blocks"]) * int(fields["Block size"])
    return System(partition, release[1], status.encode(), free)


def read(at: str, path: str) -> str:
    """A file of an ext4; empty if it is not there. Links are followed."""
    for _ in range(4):
        said = run("debugfs", "-R", f"stat {path}", at)
        link = re.search(r'^Fast link dest: "(.+)"', said, re.MULTILINE)
        if link is None:
            return run("debugfs", "-R", f"cat {path}", at)
        path = link[1] if link[1].startswith("/") else f"{Path(path).parent}/{link[1]}"
    return ""


def missing(system: System, archive: Archive, deb: Path, version: str, work: Path) -> list[Path]:
    """All packages that have to be installed for Headwater. Raises ImageError."""
    ours = [package.COMMON.build(work, version), deb]
    try:
        found = Apt(work / "apt", archive, system.status).download(*ours)
    except ArchiveError:
        if archive.security is None:
            raise
        say(f"{archive.security} does not have what it should: going on WITHOUT SECURITY UPDATES")
        found = Apt(work / "apt", replace(archive, security=None), system.status).download(*ours)
    return [*ours, *found]


def installed_size(deb: Path) -> int:
    """How many bytes a package takes, roughly, while it is installed and afterwards."""
    said = run("dpkg-deb", "--field", deb, "Installed-Size").strip()
    return (int(said) << 10 if said.isdigit() else 4 * deb.stat().st_size) + deb.stat().st_size


def grow(image: Path, system: System, needed: int) -> None:
    """Make the image and the system's partition larger, if need be; the file system grows in the machine."""
    more = round_up(needed - system.free)
    if more <= 0:
        return
    if image.stat().st_size > system.partition.end + MIB:
        raise ImageError(
            f"{image.name} has no room: behind partition {system.partition.number} there is something"
        )
    say(f"making the image {more >> 20} MiB larger")
    with image.open("r+b") as file:
        file.truncate(round_up(system.partition.end + more))
    run("sfdisk", "--quiet", "-N", str(system.partition.number), image, stdin=", +\n")


def payload(packages: Sequence[Path], ssh_key: str, work: Path) -> dict[str, Path]:
    """The files for the machine, by their names there."""
    keys = work / "authorized_keys"
    keys.write_text(f"{ssh_key}\n" if ssh_key else "")
    overlay = work / "BB-ADCFAST-00A0.dtbo"
    run("dtc", "-q", "-@", "-I", "dts", "-O", "dtb", "-o", overlay, OVERLAY)
    files = {"work.sh": SCRIPT, keys.name: keys, overlay.name: overlay}
    return files | {f"debs/{each.name}": each for each in packages}
