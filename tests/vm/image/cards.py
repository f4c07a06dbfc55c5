"""The card that the tests use: as `make image` makes it, with their own ssh key; kept in build/."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from deploy.image import build, parts
from deploy.image.debian import MIRROR, Archive
from tests.support.processes import ROOT
from tests.vm.image.login import public_key

FOLDER = ROOT / "build" / "vm"


@dataclass(frozen=True, slots=True)
class Made:
    """An image, and what it was put together from."""

    image: Path
    parts: parts.Parts

    @property
    def kernel(self) -> Path:
        """The folder with the kernel and its RAM disk."""
        (folder,) = self.parts.boot.glob("linux-*")
        return folder

    @property
    def append(self) -> str:
        """The kernel's command line."""
        menu = (self.parts.boot / "extlinux" / "extlinux.conf").read_text()
        (append,) = re.findall(r"^\s+append (.*)$", menu, re.MULTILINE)
        return str(append)


def archive() -> Archive:
    """Debian without security updates, which the tests do not need."""
    return Archive(mirror=os.environ.get("HEADWATER_MIRROR", MIRROR), security=None)


def make_card(deb: Path) -> Made:
    """The image with that package of Headwater."""
    os.umask(0o022)
    build.check_host()
    recipe = parts.Recipe(deb, build.read_keys(public_key()), archive(), build.project_version())
    made = parts.make_parts(recipe, build.CACHE)
    image = FOLDER / f"{made.folder.name}.img"
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not image.exists():
        parts.assemble(made, image)
    return Made(image, made)
