"""The files that go below /etc/headwater: a configuration, and what `headwater provision` made for the board."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from deploy.rollout.errors import DeployError

SECRET = 0o600
PUBLIC = 0o644
PUBLIC_SUFFIXES = (".crt", ".pub", ".md", ".txt")
"""What anybody may read; all else is for the service alone."""

Files = Mapping[str, bytes]
"""By their names below /etc/headwater."""


def gather(name: str, configuration: Path | None, bundle: Path | None) -> Files:
    """Read the configuration, as `name`, and all of a bundle; raises DeployError."""
    files: dict[str, bytes] = {}
    if bundle is not None:
        if not bundle.is_dir():
            raise DeployError(f"{bundle}: is no folder; BUNDLE is one that headwater provision made")
        for path in sorted(bundle.rglob("*")):
            if path.is_file():
                files[path.relative_to(bundle).as_posix()] = _read(path)
    if configuration is not None:
        files[name] = _read(configuration)
    if name in files:
        _check_toml(configuration or (bundle or Path()) / name, files[name])
    return files


def pack(files: Files) -> bytes:
    """A tar of them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = PUBLIC if name.endswith(PUBLIC_SUFFIXES) else SECRET
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def differing(files: Files, there: Mapping[str, str]) -> list[str]:
    """The names of those which are not on the board as they are here; `there` has the SHA-256 of each."""
    return [name for name, content in files.items() if there.get(name) != hashlib.sha256(content).hexdigest()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DeployError(f"{path}: cannot be read: {error.strerror}") from None


def _check_toml(path: Path, content: bytes) -> None:
    try:
        tomllib.loads(content.decode())
    except ValueError as error:
        raise DeployError(f"{path}: not TOML: {error}") from None
