"""Where state is kept: whether it can be written, and whether what may come to lie there has room."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from gateway.doctor.finding import Finding

GIB = 1 << 30


def state_finding(directory: Path) -> Finding:
    """Whether files can be made there, or the directory itself."""
    there = nearest(directory)
    if there != directory:
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=True):
            return Finding("state", f"{directory} will be made")
        return Finding("state", f"{directory} cannot be made in {there}", _give(there))
    try:
        with tempfile.TemporaryFile(dir=directory):
            return Finding("state", f"{directory} can be written")
    except OSError as error:
        return Finding("state", f"{directory} cannot be written ({error.strerror})", _give(directory))


def room_finding(check: str, directory: Path, bound: int, key: str) -> Finding:
    """Whether what is kept in a directory may grow to its bound. `key` is where the bound is set."""
    there = nearest(directory)
    free = shutil.disk_usage(there).free
    missing = bound - _used(directory)
    found = f"{free / GIB:.1f} GiB free for {there}, {max(0, missing) / GIB:.2f} GiB may still come ({key})"
    if free >= missing:
        return Finding(check, found)
    return Finding(check, found, f"free some space, or lower {key}: a full disk costs samples")


def nearest(path: Path) -> Path:
    """The path, or the nearest one above it that exists and may be seen."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def _used(directory: Path) -> int:
    """Bytes of the files in a directory."""
    if not directory.is_dir():
        return 0
    return sum(entry.stat().st_size for entry in os.scandir(directory) if entry.is_file(follow_symlinks=False))


def _give(path: Path) -> str:
    return f"run this as the user that Headwater runs as, or give that user the right to write to {path}"
