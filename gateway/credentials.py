"""Secrets that only root may read, and that systemd passes on to a service (LoadCredential=, systemd.exec(5))."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def readable(path: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Where to read what the path names: there, or where systemd has put it. Raises ValueError.

    With LoadCredential=secrets:/etc/headwater/secrets a service finds /etc/headwater/secrets/mqtt as secrets_mqtt
    in $CREDENTIALS_DIRECTORY. So a configuration names the file by its own path, whoever reads it.
    """
    if os.access(path, os.R_OK):
        return path
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder:
        credential = Path(folder) / f"{path.parent.name}_{path.name}"
        if os.access(credential, os.R_OK):
            return credential
    raise ValueError("must name a file that can be read")
