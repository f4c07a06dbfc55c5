"""Putting a damaged file where nobody trips over it and where it can be looked at, and removing files."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

KEPT = 2
"""Damaged files that are kept; each may be as large as the outbox."""

LOG_SUFFIXES = ("-wal", "-shm")


def set_aside(path: Path) -> Path:
    """Rename the file and its log, keep the newest of those set aside before; returns the new path.

    Raises OSError if the directory cannot be written.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.corrupt-{moment}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{moment}-{number}")
    path.rename(aside)
    for suffix in LOG_SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    _forget_all_but_the_newest(path)
    return aside


def remove(path: Path) -> None:
    """Remove the file and its log, if that can be done."""
    for name in (path, *(Path(f"{path}{suffix}") for suffix in LOG_SUFFIXES)):
        with contextlib.suppress(OSError):
            name.unlink()


def _forget_all_but_the_newest(path: Path) -> None:
    earlier = [file for file in path.parent.glob(f"{path.name}.corrupt-*") if not file.name.endswith(LOG_SUFFIXES)]
    earlier.sort(key=lambda file: (file.stat().st_mtime_ns, file.name))
    for file in earlier[:-KEPT]:
        remove(file)
