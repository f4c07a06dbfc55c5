"""`make image`: a card for the BeagleBone Black, from Debian's packages and ours, or from somebody else's image.

Examples:
  make image SSH_KEY=~/.ssh/id_ed25519.pub
  make image BASE=am335x-debian-12.img.xz
  python -m deploy.image.build --deb dist/headwater_0.1.0+deb12_armhf.deb --ssh-key ~/.ssh/id_ed25519.pub
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from deploy.image import debian
from deploy.image.adopt import adopt
from deploy.image.layout import LayoutError
from deploy.image.parts import Recipe, assemble, make_parts_somehow
from deploy.image.tools import ImageError, need, run, say

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "image"

COMMANDS = {
    "mmdebstrap": "mmdebstrap",
    "qemu-arm-static": "qemu-user-static",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "dpkg-deb": "dpkg",
}
COMMANDS_FOR_BASE = {
    "apt-get": "apt",
    "cpio": "cpio",
    "debugfs": "e2fsprogs",
    "depmod": "kmod",
    "dtc": "device-tree-compiler",
    "qemu-system-arm": "qemu-system-arm",
    "sfdisk": "fdisk",
}
BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-arm")


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
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"SSH_KEY: {path} cannot be read: {error}") from None
    keys = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if "PRIVATE KEY" in text or not keys or not all("ssh-" in key or "ecdsa-" in key for key in keys):
        raise ImageError(f"SSH_KEY: {path} has no public keys; name a file such as ~/.ssh/id_ed25519.pub")
    return "\n".join(keys)


def find_deb(folder: Path, suite: str) -> Path:
    """The newest package of Headwater for the board in the folder. Raises ImageError."""
    pattern = f"headwater_*+deb{debian.VERSIONS[suite]}_{debian.ARCHITECTURE}.deb"
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ImageError(f"no {pattern} in {folder}: make deb ARCH={debian.ARCHITECTURE} SUITE={suite}")
    return found[-1]


def project_version() -> str:
    """As in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def check_host() -> None:
    """Raise ImageError unless this machine can make an image."""
    need(COMMANDS)
    if not BINFMT.exists():
        raise ImageError(f"{BINFMT} is not there, so programs for the board do not run here: deploy/setup.sh deb")


def build_own(options: argparse.Namespace, archive: debian.Archive) -> Path:
    """A card from Debian's packages; its image."""
    check_host()
    deb = None if options.no_deb else options.deb or find_deb(ROOT / "dist", options.suite)
    recipe = Recipe(deb, read_keys(options.ssh_key), archive, project_version())
    parts, secure = make_parts_somehow(recipe, CACHE, options.security == "yes")
    image: Path = options.out / f"headwater-beaglebone-{recipe.version}.img"
    assemble(parts, image)
    if not secure:
        say("it was made WITHOUT SECURITY UPDATES; on the board: sudo apt update && sudo apt upgrade")
    return image


def build_on(base: Path, options: argparse.Namespace, archive: debian.Archive) -> Path:
    """Somebody else's image with Headwater."""
    need(COMMANDS_FOR_BASE)
    if not base.is_file():
        raise ImageError(f"BASE: {base} is not there")
    deb = options.deb or find_deb(ROOT / "dist", options.suite)
    CACHE.mkdir(parents=True, exist_ok=True)
    return adopt(base, deb, read_keys(options.ssh_key), archive, project_version(), options.out, CACHE)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="make image", description=__doc__, formatter_class=form)
    parser.add_argument("--base", type=Path, help="put Headwater into this image (.img or .img.xz)")
    parser.add_argument("--deb", type=Path, help="headwater's package; by default the newest in dist/")
    parser.add_argument("--no-deb", action="store_true", help="without Headwater: to try the card itself")
    parser.add_argument("--ssh-key", type=Path, help="file with the public keys of who may log in as debian")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the image")
    parser.add_argument("--suite", default="bookworm", choices=debian.VERSIONS, help="Debian's release")
    parser.add_argument("--mirror", default=debian.MIRROR)
    parser.add_argument(
        "--security",
        default="auto",
        choices=("auto", "yes", "no"),
        help="with security updates; auto goes on without them where their mirror fails, and says so",
    )
    parser.add_argument("--xz", action="store_true", help="compress it too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the image; the exit code."""
    options = parse(arguments)
    security = None if options.security == "no" else debian.SECURITY
    archive = debian.Archive(options.suite, options.mirror, security)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        image = build_on(options.base, options, archive) if options.base else build_own(options, archive)
        if options.xz:
            compress(image)
    except (ImageError, LayoutError, OSError) as error:
        print(f"headwater: {error}", file=sys.stderr)
        return 2
    if options.ssh_key is None:
        say("nobody's ssh key is in it: put authorized_keys on the card's first partition, or give SSH_KEY=…")
    say(f"{image} has {image.stat().st_size >> 20} MiB; write it to a card: make flash DEV=/dev/…")
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
