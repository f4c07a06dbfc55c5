"""The Debian packages that make a root file system start on a board, and be that board.

They are packages so that boards get newer ones the way they get everything else, and so that Debian's kernel
package finds what it depends on: somebody who makes an initial RAM disk.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.image.tools import run

TREES = Path(__file__).parent / "tree"
"""A folder for each package, with what it installs, and its maintainer scripts in DEBIAN."""


@dataclass(frozen=True, slots=True)
class Package:
    """One of them; `relations` are further lines of its control file."""

    name: str
    tree: Path | None
    summary: str
    depends: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()

    def control(self, version: str) -> str:
        """deb-control(5)."""
        lines = [
            f"Package: {self.name}",
            f"Version: {version}",
            "Architecture: all",
            "Maintainer: The Headwater developers <headwater@localhost>",
            "Section: admin",
            "Priority: optional",
            *([f"Depends: {', '.join(self.depends)}"] if self.depends else []),
            *self.relations,
            f"Description: {self.summary}",
        ]
        return "\n".join(lines) + "\n"

    def sources(self) -> list[Path]:
        """The files that it is made of."""
        return sorted(path for path in self.tree.rglob("*") if path.is_file()) if self.tree else []

    def build(self, folder: Path, version: str) -> Path:
        """Build it in the folder; its path."""
        made = folder / f"{self.name}_{version}_all.deb"
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            root = Path(scratch) / "root"
            if self.tree is None:
                root.mkdir()
            else:
                shutil.copytree(self.tree, root)
            control = root / "DEBIAN"
            control.mkdir(exist_ok=True)
            (control / "control").write_text(self.control(version))
            _write_conffiles(root, control)
            _set_modes(root)
            run("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", root, made)
        return made


COMMON = Package(
    "headwater-image",
    TREES / "common",
    "makes at its start what differs from board to board",
    depends=("chrony", "e2fsprogs", "fdisk", "openssh-server", "sudo"),
)

INITRAMFS = tuple(f"{relation}: linux-initramfs-tool" for relation in ("Provides", "Conflicts", "Replaces"))

BOOT = Package(
    "headwater-image-boot",
    TREES / "boot",
    "starts a BeagleBone Black from a card made by make image",
    depends=(
        COMMON.name,
        *("busybox-static", "cpio", "device-tree-compiler", "e2fsck-static", "kmod"),
        *("mtools", "python3", "systemd-resolved"),
    ),
    relations=INITRAMFS,
)

STUB = Package(BOOT.name, None, "satisfies the kernel's dependency until the real one comes", relations=INITRAMFS)
STUB_VERSION = "0~stub"


def _write_conffiles(root: Path, control: Path) -> None:
    conffiles = [f"/{path.relative_to(root)}\n" for path in sorted(root.glob("etc/**/*")) if path.is_file()]
    if conffiles:
        (control / "conffiles").write_text("".join(conffiles))


def _set_modes(root: Path) -> None:
    """As Debian has them, whatever the umask of who checked this out."""
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    for path in root.glob("etc/sudoers.d/*"):
        path.chmod(0o440)


def build_all(packages: Sequence[Package], folder: Path, version: str) -> list[Path]:
    """Build the packages in the folder; their paths."""
    return [package.build(folder, version) for package in packages]
