"""What the update remembers on disk: the transaction, the packages to fall back to, and how the last one ended."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import Refused
from .transaction import Package, Transaction, parse_transaction

ROOT = Path("/var/lib/headwater-update")


class Store:
    """The folder. Every file in it is replaced whole, and is on disk before it has its name."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.packages = root / "packages"
        """The version that is confirmed, the one before it, and the one that is being tried."""
        self.staged = root / "staged"
        """What was received and is not in its place yet."""
        self.staged_files = self.staged / "files"
        self.before = root / "before"
        """The configuration before the last change."""
        self.program = root / "headwater-update"
        """The copy of this program that does the work."""

    def make(self) -> None:
        """Make the folder, for root alone: configurations may hold secrets."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.packages.mkdir(exist_ok=True)

    @contextmanager
    def locked(self, wait: bool = False) -> Iterator[None]:
        """Keep every other process out; raises Refused if one is in, unless it is to be waited for."""
        self.make()
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except OSError:
                raise Refused("an update is under way on this board: headwater-update status") from None
            yield
        finally:
            os.close(handle)

    def transaction(self) -> Transaction | None:
        """The one that is not finished."""
        content = self._read("transaction.json")
        return parse_transaction(content) if content else None

    def save(self, transaction: Transaction) -> None:
        """Note how far it has come."""
        self._write("transaction.json", transaction.to_json())

    def forget(self) -> None:
        """There is no transaction any more."""
        (self.root / "transaction.json").unlink(missing_ok=True)
        sync(self.root)
        shutil.rmtree(self.staged, ignore_errors=True)

    def current(self) -> Package | None:
        """The version that was confirmed last."""
        return self._package("current.json")

    def earlier(self) -> Package | None:
        """The version that was confirmed before it."""
        return self._package("earlier.json")

    def confirm(self, package: Package, serial: int) -> None:
        """The package is the current one from now on; keep the one before it, and no others."""
        current = self.current()
        if current and current != package:
            self._write("earlier.json", _as_json(current))
        self._write("current.json", _as_json(package))
        self._write("serial.json", {"serial": max(serial, self.serial())})
        self.prune()

    def prune(self) -> None:
        """Delete the packages that nothing can fall back to."""
        wanted = {package.name for package in (self.current(), self.earlier()) if package}
        for path in self.packages.iterdir():
            if path.name not in wanted:
                path.unlink()

    def serial(self) -> int:
        """The newest update that was ever confirmed."""
        return int((self._read("serial.json") or {}).get("serial", 0))

    def result(self) -> dict[str, Any]:
        """How the last transaction ended; empty if there was none."""
        return self._read("last.json") or {}

    def save_result(self, result: dict[str, Any]) -> None:
        """Note how it ended."""
        self._write("last.json", result)

    def _package(self, name: str) -> Package | None:
        content = self._read(name)
        package = Package(**content) if content else None
        return package if package and (self.packages / package.name).is_file() else None

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            content = json.loads((self.root / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_whole(self.root / name, json.dumps(content, indent=1).encode(), 0o600)


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Replace a file so that a power cut leaves the old one or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        os.fchmod(out.fileno(), mode)
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file or a folder on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _as_json(package: Package) -> dict[str, Any]:
    return {"version": package.version, "name": package.name, "sha256": package.sha256}


def sha256_of(path: Path) -> str:
    """In hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
