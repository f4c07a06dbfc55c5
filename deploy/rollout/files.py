"""The files that go below /etc/headwater: a configuration, and what `headwater provision` made for the board."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from deploy.rollout.errors import DeployError

ETC = PurePosixPath("/etc/headwater")
SNIPPET = "mqtt.toml"
"""The table [mqtt] that `headwater provision` makes for a client; it names where the other files belong."""

Files = Mapping[str, bytes]
"""By their names below /etc/headwater."""


def gather(name: str, configuration: Path | None, bundle: Path | None) -> Files:
    """The configuration, under its name on the board, and the files of a bundle; raises DeployError.

    The bundle's table [mqtt] becomes part of the configuration.
    """
    text = _read(configuration) if configuration is not None else None
    content = _toml(configuration, text) if configuration is not None and text is not None else {}
    files: dict[str, bytes] = {}
    if bundle is not None:
        if text is None:
            raise DeployError(f"BUNDLE={bundle} needs the {name} that it is for: CONFIG={name}")
        if "mqtt" in content:
            raise DeployError(f"{configuration}: has a table [mqtt], and so has {bundle / SNIPPET}: take it out")
        snippet = _read(bundle / SNIPPET)
        place = _place(bundle / SNIPPET, _toml(bundle / SNIPPET, snippet))
        text = text.rstrip() + b"\n\n" + snippet
        for path in sorted(bundle.iterdir()):
            if path.is_file() and path.name != SNIPPET:
                files[f"{place}/{path.name}"] = _read(path)
    if text is not None:
        files[name] = text
    return files


def pack(files: Files) -> bytes:
    """A tar of them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o600
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


def _toml(path: Path, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except ValueError as error:
        raise DeployError(f"{path}: not TOML: {error}") from None


def _place(path: Path, snippet: Mapping[str, Any]) -> str:
    """Where below /etc/headwater the bundle belongs."""
    key = PurePosixPath(str(snippet.get("mqtt", {}).get("key", "")))
    try:
        return key.parent.relative_to(ETC).as_posix()
    except ValueError:
        raise DeployError(
            f"{path}: mqtt.key is {str(key)!r}; it must be below {ETC}: provision with --at"
        ) from None
