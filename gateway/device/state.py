"""What a device remembers over a restart: the epoch counter, in its state directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gateway.errors import ConfigError

RANDOM_BITS = 32
COUNTER_LIMIT = 1 << 21
"""Epochs stay below 2**53, so that JSON and JavaScript hold them exactly."""


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


def next_epoch(directory: Path) -> int:
    """A new epoch, larger than every one that was taken from this directory before; raises ConfigError.

    A counter in the high bits, random low ones: two devices that were set up alike do not share epochs.
    """
    path = directory / "epoch"
    try:
        counter = _read(path) + 1
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{counter}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"device.state: cannot keep the epoch counter in {path}: {error.strerror}") from None
    return counter << RANDOM_BITS | secrets.randbits(RANDOM_BITS)


def _read(path: Path) -> int:
    try:
        counter = int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except ValueError:
        raise ConfigError(f"{path}: must hold one whole number; remove it to begin anew") from None
    if not 0 <= counter < COUNTER_LIMIT - 1:
        raise ConfigError(f"{path}: {counter} is not from 0 to {COUNTER_LIMIT - 2}; remove it to begin anew")
    return counter
