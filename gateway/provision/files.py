"""Files that are there whole or not at all, whatever interrupts the writing."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

SECRET, PUBLIC, FOLDER = 0o600, 0o644, 0o700


class Content(NamedTuple):
    """A file to be."""

    bytes: bytes
    mode: int = PUBLIC
    owner: tuple[int, int] | None = None
    """User and group; None for those of the folder."""


def write(path: Path, content: Content) -> None:
    """Write the file, or replace it, whole."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    _create(fresh, content)
    fresh.replace(path)
    _sync(path.parent)


def write_folder(path: Path, files: Mapping[str, Content]) -> None:
    """Make a folder with these files, also in folders of its own, whole, or replace them, all at once.

    What else is in it stays.
    """
    fresh, old = _beside(path)
    _remove(fresh)
    make_folder(fresh)
    for name, content in files.items():
        place = fresh / name
        for folder in reversed(place.relative_to(fresh).parents[:-1]):
            if not (fresh / folder).is_dir():
                make_folder(fresh / folder)
        _create(place, content)
    for made in [fresh, *(inner for inner in fresh.rglob("*") if inner.is_dir())]:
        _sync(made)
    if path.exists():
        path.rename(old)
    fresh.rename(path)
    _sync(path.parent)
    if old.exists():
        _take_over(old, path)


def remove(folder: Path, names: Sequence[str]) -> None:
    """Remove these files in that order, and the folder if it is empty then."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def clean_up(parent: Path) -> None:
    """Finish what an interruption has left undone of `write` and `write_folder` in a folder."""
    for left in list(parent.glob(".*.old")):
        path = parent / left.name[1 : -len(".old")]
        if path.exists():
            _take_over(left, path)
        else:  # between the two renames
            left.rename(path)
    for left in parent.glob(".*.new"):
        _remove(left)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else is at work in the folder, and keep others out of it (flock(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _take_over(old: Path, path: Path) -> None:
    """Move what only the old folder has, and remove that."""
    for left in old.iterdir():
        if not (path / left.name).exists():
            left.rename(path / left.name)
    _sync(path)
    _remove(old)


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")


def _create(path: Path, content: Content) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, content.mode)
    with os.fdopen(handle, "wb") as out:
        os.fchmod(handle, content.mode)  # whatever the umask
        if os.geteuid() == 0:
            os.fchown(handle, *(content.owner or _owner(path.parent)))
        out.write(content.bytes)
        out.flush()
        os.fsync(handle)


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone."""
    path.mkdir(mode=FOLDER)
    path.chmod(FOLDER)
    if os.geteuid() == 0:
        os.chown(path, *_owner(path.parent))


def _owner(folder: Path) -> tuple[int, int]:
    """Whose the folder is: what root writes into it is to be theirs too."""
    found = folder.stat()
    return found.st_uid, found.st_gid


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such thing
            raise
    finally:
        os.close(handle)
