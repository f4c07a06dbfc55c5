"""Where a device keeps what it remembers over a restart."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.errors import ConfigError


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
