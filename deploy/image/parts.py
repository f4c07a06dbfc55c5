"""From a recipe to the parts of a card, and from these to its image."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
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
    Table,
    check_room,
    lay_out,
    sfdisk_script,
)
from deploy.image.tools import run, say

CUSTOMISE = Path(__file__).parent / "customise.sh"
FIRST_CONFIGURATION = CUSTOMISE.with_name("device.toml")
PACKAGES = (package.COMMON, package.BOOT)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the image is made of. `deb` is None for a card without Headwater, `ssh_key` is empty for nobody's."""

    deb: Path | None
    ssh_key: str
    archive: debian.Archive
    version: str

    def key(self) -> str:
        """The same for the same image."""
        parts = [self.ssh_key, self.version, *self.archive.lines(), *debian.PACKAGES]
        files = [CUSTOMISE, FIRST_CONFIGURATION, Path(package.__file__), Path(filesystems.__file__)]
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
        """The system's files."""
        return self.folder / "system.tar"

    @property
    def boot(self) -> Path:
        """What U-Boot loads: a folder for the first partition."""
        return self.folder / "boot"

    @property
    def loader(self) -> Path:
        """MLO and u-boot.img, and the list of the packages."""
        return self.folder / "loader"

    @property
    def images(self) -> tuple[Path, Path, Path]:
        """The file systems of the partitions."""
        return self.folder / "config.img", self.folder / "system.img", self.folder / "state.img"

    @property
    def finished(self) -> Path:
        """Is there when all the others are."""
        return self.folder / "finished"


def make_parts(recipe: Recipe, cache: Path) -> Parts:
    """The parts; those that were made before for the same recipe are taken again. Raises ImageError."""
    cache.mkdir(parents=True, exist_ok=True)
    parts = Parts(cache / f"parts-{recipe.key()}")
    if parts.finished.exists():
        return parts
    shutil.rmtree(parts.folder, ignore_errors=True)
    parts.folder.mkdir()
    base = debian.base_layer(cache, recipe.archive, package.STUB.build(cache, package.STUB_VERSION))
    packages = package.build_all(PACKAGES, parts.folder, recipe.version)
    packages += [] if recipe.deb is None else [recipe.deb]
    say("installing Headwater and what makes a card of it …")
    variables = {
        "PACKAGES": "\n".join(str(path.resolve()) for path in packages),
        "SSH_KEY": recipe.ssh_key,
        # the board gets its updates itself, wherever the image came from
        "SOURCES": "\n".join(debian.Archive(recipe.archive.suite).lines()),
        "BOOT": str(parts.boot),
        "LOADER": str(parts.loader),
    }
    debian.top_layer(parts.folder, parts.tar, recipe.archive, base, [f'"{CUSTOMISE}" "$1"'], variables)
    say("making the file systems …")
    config, system, state = parts.images
    filesystems.make_config(config, parts.boot)
    filesystems.make_system(system, parts.tar)
    filesystems.make_state(state)
    parts.finished.touch()
    return parts


def make_parts_somehow(recipe: Recipe, cache: Path, insist: bool) -> tuple[Parts, bool]:
    """`make_parts`, and where the mirror of security updates fails, without them; whether it was with them."""
    security = recipe.archive.security
    try:
        return make_parts(recipe, cache), security is not None
    except debian.ArchiveError as error:
        if insist or security is None or security not in str(error):
            raise
    say(f"{security} does not have what it should: going on WITHOUT SECURITY UPDATES")
    return make_parts(replace(recipe, archive=replace(recipe.archive, security=None)), cache), False


def assemble(parts: Parts, image: Path) -> Table:
    """Put the card together in a file, whole or not at all."""
    kinds = tuple(zip(parts.images, (FAT32, LINUX, LINUX), strict=True))
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
