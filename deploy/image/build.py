"""`make image`: a card for the BeagleBone Black, from Debian's packages and ours.

python -m deploy.image.build --deb dist/headwater_0.1.0_armhf.deb --ssh-key ~/.ssh/id_ed25519.pub --out dist
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.image import debian, filesystems, package
from deploy.image.layout import (
    DISK_ID,
    FAT32,
    FIRST_PARTITION_AT,
    LINUX,
    MLO_AT,
    UBOOT_AT,
    LayoutError,
    Table,
    check_room,
    lay_out,
    sfdisk_script,
)
from deploy.image.tools import ImageError, need, run, say

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "image"
CUSTOMISE = Path(__file__).parent / "customise.sh"

COMMANDS = {
    "mmdebstrap": "mmdebstrap",
    "qemu-arm-static": "qemu-user-static",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "dpkg-deb": "dpkg",
    "xz": "xz-utils",
}
PACKAGES = (package.COMMON, package.BOOT)

BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-arm")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the image is made of. `deb` is None for a card without Headwater, `ssh_key` is empty for nobody's."""

    deb: Path | None
    ssh_key: str
    archive: debian.Archive
    version: str

    def key(self) -> str:
        """The same for the same image."""
        parts = [self.ssh_key, self.version, *self.archive.lines()]
        files = [CUSTOMISE, Path(package.__file__), Path(filesystems.__file__)]
        files += [source for each in PACKAGES for source in each.sources()]
        files += [] if self.deb is None else [self.deb]
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        return hashlib.sha256("\n".join(parts + digests).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the card is put together from."""

    folder: Path

    @property
    def tar(self) -> Path:
        return self.folder / "system.tar"

    @property
    def boot(self) -> Path:
        return self.folder / "boot"

    @property
    def loader(self) -> Path:
        return self.folder / "loader"

    @property
    def images(self) -> tuple[Path, Path, Path]:
        return self.folder / "config.img", self.folder / "system.img", self.folder / "state.img"


def make_parts(recipe: Recipe, cache: Path) -> Parts:
    """The root file system and the file systems; what was made before for the same recipe is taken again."""
    cache.mkdir(parents=True, exist_ok=True)
    parts = Parts(cache / f"parts-{recipe.key()}")
    if (parts.folder / "done").exists():
        return parts
    shutil.rmtree(parts.folder, ignore_errors=True)
    parts.folder.mkdir()
    base = debian.base_layer(cache, recipe.archive, package.STUB.build(cache, package.STUB_VERSION))
    packages = package.build_all(PACKAGES, parts.folder, recipe.version)
    packages += [] if recipe.deb is None else [recipe.deb]
    say("installing Headwater and what makes a card of it …")
    debian.top_layer(
        parts.folder,
        parts.tar,
        recipe.archive,
        base,
        [f'"{CUSTOMISE}" "$1"'],
        {
            "PACKAGES": "\n".join(str(path.resolve()) for path in packages),
            "SSH_KEY": recipe.ssh_key,
            "SOURCES": "\n".join(replace(recipe.archive, security=debian.SECURITY).lines()),
            "BOOT": str(parts.boot),
            "LOADER": str(parts.loader),
        },
    )
    say("making the file systems …")
    config, system, state = parts.images
    filesystems.make_config(config, parts.boot)
    filesystems.make_system(system, parts.tar)
    filesystems.make_state(state)
    (parts.folder / "done").touch()
    return parts


def assemble(parts: Parts, image: Path) -> Table:
    """Put the card together in a file, whole or not at all."""
    config, system, state = parts.images
    kinds = ((config, FAT32), (system, LINUX), (state, LINUX))
    table = Table(DISK_ID, lay_out([(kind, path.stat().st_size) for path, kind in kinds]))
    with tempfile.TemporaryDirectory(dir=image.parent) as scratch:
        unfinished = Path(scratch) / image.name
        with unfinished.open("wb") as out:
            out.truncate(table.partitions[-1].end)
        run("sfdisk", "--quiet", unfinished, stdin=sfdisk_script(table))
        for name, at, end in (("MLO", MLO_AT, UBOOT_AT), ("u-boot.img", UBOOT_AT, FIRST_PARTITION_AT)):
            check_room(name, at, (parts.loader / name).stat().st_size, end)
            place(parts.loader / name, unfinished, at)
        for (path, _), partition in zip(kinds, table.partitions, strict=True):
            place(path, unfinished, partition.offset)
        unfinished.rename(image)
    return table


def place(source: Path, target: Path, at: int) -> None:
    """Copy a file into another at an offset, leaving holes where it has them."""
    whole = ["conv=notrunc,sparse", "oflag=seek_bytes", "bs=1M", "status=none"]
    run("dd", f"if={source}", f"of={target}", f"seek={at}", *whole)


def compress(image: Path) -> Path:
    """The image as .xz, for keeping and for other programs that write cards."""
    say(f"compressing {image.name} …")
    run("xz", "--force", "--keep", "--threads=0", "-3", image)
    return image.with_name(image.name + ".xz")


def read_keys(path: Path | None) -> str:
    """The public keys in the file. Raises ImageError if there is none, or a private one."""
    if path is None:
        return ""
    try:
        text = path.expanduser().read_text()
    except OSError as error:
        raise ImageError(f"SSH_KEY: {path} cannot be read: {error.strerror}") from None
    keys = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if "PRIVATE KEY" in text or not keys or not all("ssh-" in key or "ecdsa-" in key for key in keys):
        raise ImageError(f"SSH_KEY: {path} has no public keys; name a file such as ~/.ssh/id_ed25519.pub")
    return "\n".join(keys)


def find_deb(folder: Path) -> Path:
    """The newest package of Headwater for the board in the folder. Raises ImageError."""
    found = sorted(folder.glob(f"headwater_*_{debian.ARCHITECTURE}.deb"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ImageError(
            f"no headwater_*_{debian.ARCHITECTURE}.deb in {folder}: make deb ARCH={debian.ARCHITECTURE}"
        )
    return found[-1]


def project_version() -> str:
    """As in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def check_host() -> None:
    """Raise ImageError unless this machine can make an image."""
    need(COMMANDS)
    if not BINFMT.exists():
        raise ImageError(
            f"{BINFMT} is not there, so programs of {debian.ARCHITECTURE} do not run: deploy/setup.sh image"
        )


def make_parts_somehow(recipe: Recipe, cache: Path, insist: bool) -> tuple[Parts, bool]:
    """`make_parts`, and where the mirror of security updates fails, without them; whether it was with them."""
    try:
        return make_parts(recipe, cache), recipe.archive.security is not None
    except debian.ArchiveError as error:
        if insist or recipe.archive.security is None or recipe.archive.security not in str(error):
            raise
    say(f"{recipe.archive.security} does not have what it should: going on WITHOUT SECURITY UPDATES")
    return make_parts(replace(recipe, archive=replace(recipe.archive, security=None)), cache), False


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make image", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--deb", type=Path, help="headwater's package; by default the newest in dist/")
    parser.add_argument("--no-deb", action="store_true", help="without Headwater: to try the card itself")
    parser.add_argument("--ssh-key", type=Path, help="file with the public keys of who may log in as debian")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the image")
    parser.add_argument("--suite", default="bookworm", help="Debian's release")
    parser.add_argument("--mirror", default=debian.MIRROR)
    parser.add_argument(
        "--security",
        default="auto",
        choices=("auto", "yes", "no"),
        help="security updates: auto goes on without them where the mirror fails",
    )
    parser.add_argument("--xz", action="store_true", help="compress it too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the image; the exit code."""
    options = parse(arguments)
    try:
        check_host()
        recipe = Recipe(
            deb=None if options.no_deb else options.deb or find_deb(ROOT / "dist"),
            ssh_key=read_keys(options.ssh_key),
            archive=debian.Archive(
                options.suite, options.mirror, None if options.security == "no" else debian.SECURITY
            ),
            version=project_version(),
        )
        parts, secure = make_parts_somehow(recipe, CACHE, options.security == "yes")
        options.out.mkdir(parents=True, exist_ok=True)
        image = options.out / f"headwater-beaglebone-{recipe.version}.img"
        table = assemble(parts, image)
        if options.xz:
            compress(image)
    except (ImageError, LayoutError) as error:
        print(f"headwater: {error}", file=sys.stderr)
        return 2
    say(f"{image} has {table.partitions[-1].end >> 20} MiB; write it to a card: make flash DEV=/dev/…")
    if not recipe.ssh_key:
        say("nobody's ssh key is in it: put authorized_keys on the card's first partition, or give SSH_KEY=…")
    if not secure:
        say("it was made WITHOUT SECURITY UPDATES; on the board: sudo apt update && sudo apt upgrade")
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
