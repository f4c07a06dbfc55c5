"""The broker's files, from the provisioning folder to where mosquitto reads them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from gateway.errors import ConfigError
from gateway.provision import settings
from gateway.provision.files import FOLDER, PUBLIC, SECRET, Content, write

RESTART = {settings.CONF}
"""Of this mosquitto 2.0 reads the listeners at its start only; all other files it reads again on SIGHUP."""


def install(source: Path, folder: Path, conf: Path, owner: str) -> set[str]:
    """Copy the broker's files, to be read by that user alone; the names of those that changed. Raises ConfigError.

    Each takes the place of the old one whole, the certificate after its key.
    """
    account = _account(owner)
    user = account.pw_uid, account.pw_gid
    if user[0] != os.geteuid() != 0:
        raise ConfigError(f"only root can write files for {owner}: sudo headwater provision install")
    try:
        folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
        os.chown(folder, *user)
        changed = set()
        for file in sorted(source.iterdir(), key=lambda file: file.name == settings.CERT):
            if file.name == settings.CONF or file.name.startswith("."):
                continue
            changed |= _copy(file, folder / file.name, SECRET, user)
        changed |= _copy(source / settings.CONF, conf, PUBLIC, None)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from None
    return changed


def _copy(source: Path, target: Path, mode: int, owner: tuple[int, int] | None) -> set[str]:
    content = source.read_bytes()
    changed = not target.is_file() or target.read_bytes() != content
    if changed:
        write(target, Content(content, mode, owner))
    return {source.name} if changed else set()


def _account(owner: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(owner)
    except KeyError:
        raise ConfigError(
            f"there is no user {owner!r} on this machine: install mosquitto, or name its user with --owner"
        ) from None
