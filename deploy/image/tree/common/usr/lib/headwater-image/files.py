"""How the programs beside this one change files on a board, where the power may go at any time."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

ETC = Path("/etc/headwater")


class Wrong(ValueError):
    """Something cannot be used or done; one line that says why."""


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file whole, on disk before it has its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as out:
        os.fchmod(out.fileno(), mode)
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


@contextlib.contextmanager
def writable(card: Path) -> Iterator[None]:
    """The card's first partition is read-only otherwise, so that a power cut cannot harm it."""
    mounted = os.path.ismount(card)
    if mounted:
        subprocess.run(["mount", "-o", "remount,rw", str(card)], check=True)
    try:
        yield
    finally:
        if mounted:
            os.sync()
            subprocess.run(["mount", "-o", "remount,ro", str(card)], check=False)
