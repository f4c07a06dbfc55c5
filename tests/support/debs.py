"""Debian packages: what is in one, and others made from it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path


def fields(deb: Path) -> dict[str, str]:
    """The fields of its control file; each is on one line there."""
    lines = _run("dpkg-deb", "--field", str(deb)).splitlines()
    pairs = (line.partition(": ") for line in lines if not line.startswith(" "))
    return {key: value for key, _, value in pairs}


def contents(deb: Path) -> dict[str, tuple[str, str]]:
    """Mode and owner of everything in it, by path."""
    entries = {}
    for line in _run("dpkg-deb", "--contents", str(deb)).splitlines():
        mode, owner, _, _, _, path = line.split(maxsplit=5)
        entries[path.removeprefix(".")] = (mode, owner)
    return entries


def repacked(deb: Path, folder: Path, version: str, change: Callable[[Path], None] = lambda _: None) -> Path:
    """The package with another version, and whatever `change` does to its tree."""
    tree = folder / "tree"
    _run("dpkg-deb", "--raw-extract", str(deb), str(tree))
    control = tree / "DEBIAN" / "control"
    control.write_text(
        control.read_text().replace(f"Version: {fields(deb)['Version']}\n", f"Version: {version}\n")
    )
    change(tree)
    other = folder / f"headwater_{version}_{fields(deb)['Architecture']}.deb"
    _run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(other))
    return other


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
