"""What is there to deploy: the packages, and the updates that are made of them, each once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock

from deploy.board.headwater_update.errors import UpdateError
from deploy.board.headwater_update.store import sha256_of
from deploy.rollout.package import Deb, make_update, read_deb


class Workshop:
    """The packages of some folders, and a folder for what is made. Threads may share it."""

    def __init__(self, packages: Iterable[Path], offered: Iterable[Path], key: Path, folder: Path) -> None:
        """`packages` are those of Headwater, `offered` what may be brought along: files or folders."""
        self.debs = tuple(read_deb(path) for path in _files(packages))
        self.offered = tuple(read_deb(path) for path in _files(offered))
        self.key = key
        self._folder = folder
        self._lock = Lock()
        self._digests: dict[Path, str] = {}
        self._updates: dict[tuple[Path, ...], Path] = {}

    def sha256(self, deb: Deb) -> str:
        """The package's digest."""
        with self._lock:
            if deb.path not in self._digests:
                self._digests[deb.path] = sha256_of(deb.path)
            return self._digests[deb.path]

    def update(self, package: Deb, dependencies: Sequence[Deb], release: str) -> Path:
        """A signed update."""
        wanted = (package.path, *(each.path for each in dependencies), Path(release))
        with self._lock:
            if wanted not in self._updates:
                target = self._folder / f"{len(self._updates)}-{package.path.stem}-debian{release}.update"
                self._updates[wanted] = make_update(package, dependencies, release, self.key, target)
            return self._updates[wanted]


def compare(version: str, how: str, other: str) -> bool:
    """`dpkg --compare-versions`."""
    operator = {"<<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">>": "gt"}[how]
    try:
        return (
            subprocess.run(["dpkg", "--compare-versions", version, operator, other], check=False).returncode == 0
        )
    except FileNotFoundError:
        raise UpdateError("dpkg is needed to compare versions: install dpkg") from None


def _files(places: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for place in places:
        found += sorted(place.rglob("*.deb")) if place.is_dir() else [place]
    return found
