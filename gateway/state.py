"""Where devices and relays keep what they remember over a restart."""

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


def state_path(name: str, chosen: Path | None) -> Path:
    """Where state is kept: the chosen directory, systemd's, or the user's."""
    if chosen is not None:
        return chosen
    systemd = os.environ.get("STATE_DIRECTORY")
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(systemd) if systemd else home / "headwater" / name


def made(directory: Path, key: str = "device.state") -> Path:
    """The directory, made if need be; `key` of the configuration chooses it. Raises ConfigError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{key}: cannot make {directory}: {error.strerror}") from None
    return directory


@contextmanager
def held(directory: Path, key: str = "device.state", who: str = "device") -> Iterator[None]:
    """Keep every other one out of the directory for as long as the block lasts. Raises ConfigError.

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
                    f"{key}: {directory} is in use by another {who} that runs; "
                    f"stop that one, or give this one a directory of its own"
                ) from None
            log.warning("%s: %s cannot be locked: %s", key, directory, error.strerror)
        yield
    finally:
        os.close(handle)
