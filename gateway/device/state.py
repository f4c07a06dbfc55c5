"""Where a device keeps what it remembers over a restart."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import ConfigError

log = logging.getLogger(__name__)


def state_path(device: str, chosen: Path | None) -> Path:
    """Where state is kept: the chosen directory, systemd's, or the user's."""
    if chosen is not None:
        return chosen
    systemd = os.environ.get("STATE_DIRECTORY")
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(systemd) if systemd else home / "headwater" / device


def state_directory(device: str, chosen: Path | None) -> Path:
    """The directory of `state_path()`, made if need be. Raises ConfigError."""
    directory = state_path(device, chosen)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"device.state: cannot make {directory}: {error.strerror}") from None
    return directory


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep every other device out of the directory for as long as the block lasts. Raises ConfigError.

    The lock is on the directory itself (flock(2)), so it needs no file, no space and no right to write, and it
    ends with the process however that ends.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise ConfigError(
                    f"device.state: {directory} is in use by another device that runs; "
                    f"stop that one, or give this one a directory of its own"
                ) from None
            log.warning("device.state: %s cannot be locked: %s", directory, error.strerror)
        yield
    finally:
        os.close(handle)
