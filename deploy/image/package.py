"""The Debian package `headwater-image`: what makes a root file system start on a board, and be that board.

It is a package so that boards get a newer one the way they get everything else, and so that Debian's kernel
package finds what it depends on: somebody who makes an initial RAM disk.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from deploy.image.tools import run

NAME = "headwater-image"
TREE = Path(__file__).parent / "package"

DEPENDS = (
    "busybox-static",
    "cpio",
    "device-tree-compiler",
    "e2fsck-static",
    "e2fsprogs",
    "fdisk",
    "kmod",
    "mtools",
    "openssh-server",
    "python3",
    "sudo",
    "systemd-resolved",
)

CONTROL = """\
Package: {name}
Version: {version}
Architecture: all
Maintainer: The Headwater developers <headwater@localhost>
Section: admin
Priority: optional
{relations}Provides: linux-initramfs-tool
Conflicts: linux-initramfs-tool
Replaces: linux-initramfs-tool
Description: starts a BeagleBone Black from a card made by make image
 The initial RAM disk with its overlay of a read-only system and the changes, the
 device tree with the ADC on, what is made at the first start, and
 headwater-install-emmc.
"""

STUB_VERSION = "0~stub"
"""For the cached layer below: satisfies the kernel's dependency, and does nothing."""


def build_package(folder: Path, version: str) -> Path:
    """Build the package in the folder; its path."""
    return _build(folder, version, TREE, f"Depends: {', '.join(DEPENDS)}\n")


def build_stub(folder: Path) -> Path:
    """Build an empty package of the same name; its path."""
    return _build(folder, STUB_VERSION, None, "")


def sources() -> Iterable[Path]:
    """All files that the package is made of."""
    return sorted(path for path in TREE.rglob("*") if path.is_file())


def _build(folder: Path, version: str, tree: Path | None, relations: str) -> Path:
    made = folder / f"{NAME}_{version}_all.deb"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root = Path(scratch) / "root"
        if tree is None:
            root.mkdir()
        else:
            shutil.copytree(tree, root, symlinks=True)
        control = root / "DEBIAN"
        control.mkdir(exist_ok=True)
        (control / "control").write_text(CONTROL.format(name=NAME, version=version, relations=relations))
        _write_conffiles(root, control)
        for path in root.rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        for secret in root.glob("etc/sudoers.d/*"):
            secret.chmod(0o440)
        run("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", root, made)
    return made


def _write_conffiles(root: Path, control: Path) -> None:
    conffiles = [f"/{path.relative_to(root)}\n" for path in sorted(root.glob("etc/**/*")) if path.is_file()]
    if conffiles:
        (control / "conffiles").write_text("".join(conffiles))
