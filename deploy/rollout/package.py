"""Debian packages on the developer's host: what they say of themselves, and an update made of one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.board.headwater_update.archive import write_update
from deploy.board.headwater_update.errors import UpdateError
from deploy.board.headwater_update.manifest import PACKAGE, File, Manifest
from deploy.board.headwater_update.signature import sign
from deploy.board.headwater_update.store import sha256_of

FIELDS = ("Package", "Version", "Architecture", "Depends", "Pre-Depends", "Provides", "Installed-Size")


@dataclass(frozen=True, slots=True)
class Deb:
    """A package's file."""

    path: Path
    name: str
    version: str
    architecture: str
    depends: str
    provides: str
    installed_kib: int


def read_deb(path: Path) -> Deb:
    """What a package says of itself; raises UpdateError."""
    try:
        shown = subprocess.run(["dpkg-deb", "--field", path, *FIELDS], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise UpdateError("dpkg-deb is needed to read packages: install dpkg") from None
    except subprocess.CalledProcessError as error:
        raise UpdateError(f"{path}: is no Debian package: {str(error.stderr).strip()}") from None
    about = {key: value.strip() for key, _, value in (line.partition(":") for line in shown.stdout.splitlines())}
    return Deb(
        path=path,
        name=about["Package"],
        version=about["Version"],
        architecture=about["Architecture"],
        depends=", ".join(filter(None, (about.get("Pre-Depends"), about.get("Depends")))),
        provides=about.get("Provides", ""),
        installed_kib=int(about.get("Installed-Size", 0)),
    )


def make_update(package: Deb, dependencies: Sequence[Deb], release: str, key: Path, target: Path) -> Path:
    """Write and sign the update of a package for a release of Debian; raises UpdateError."""
    if package.name != PACKAGE:
        raise UpdateError(f"{package.path}: is the package {package.name!r}, not {PACKAGE!r}")
    manifest = Manifest(
        version=package.version,
        architecture=package.architecture,
        release=release,
        serial=int(time.time()),
        installed_kib=package.installed_kib + sum(each.installed_kib for each in dependencies),
        package=_file(package),
        dependencies=tuple(_file(each) for each in dependencies),
    )
    signature = sign(manifest.to_bytes(), key)
    places = {each.path.name: each.path for each in (package, *dependencies)}
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        write_update(out, manifest, signature, places)
    return target


def make_key(key: Path) -> bool:
    """Make a key to sign updates with, unless it is there; whether it was made."""
    if key.exists():
        return False
    key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "updates of headwater", "-f", str(key)]
    subprocess.run(made, check=True)
    return True


def public_key(key: Path) -> str:
    """The line of its `.pub` file; raises UpdateError."""
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        return public.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UpdateError(f"{public}: cannot be read: {error.strerror}") from None


def _file(package: Deb) -> File:
    return File(package.path.name, package.path.stat().st_size, sha256_of(package.path))
