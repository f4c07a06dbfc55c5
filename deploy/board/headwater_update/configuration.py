"""The files below /etc/headwater: received, put in place, and put back."""

from __future__ import annotations

import grp
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from .archive import UNREADABLE
from .errors import Refused
from .store import sha256_of, sync, write_whole

ETC = Path("/etc/headwater")
GROUP = "headwater"
SECRETS = "secrets"
LARGEST = 4 << 20
MOST = 200


def receive(source: IO[bytes], folder: Path) -> int:
    """Take in a tar of files, named as below /etc/headwater; how many there were. Raises Refused."""
    count = 0
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for member in tar:
                if member.isdir():
                    continue
                count += 1
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or not _inside(member.name) or member.size > LARGEST or count > MOST:
                    raise Refused(
                        f"the configuration may be {MOST} files of {LARGEST} bytes; found {member.name!r}"
                    )
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content.read(), 0o600)
    except UNREADABLE as error:
        raise Refused(f"the configuration did not come whole: {error}") from None
    return count


def put(source: Path, etc: Path = ETC) -> None:
    """Put the files of a folder below /etc/headwater, for root and the service; what is the same is left alone.

    What is in `secrets` is for root alone: systemd passes it on.
    """
    group = _group()
    for path in _files(source):
        target = etc / path.relative_to(source)
        secret = SECRETS in path.relative_to(source).parts[:-1]
        _make_folders(target.parent, etc)
        if not target.is_file() or target.read_bytes() != path.read_bytes():
            write_whole(target, path.read_bytes(), 0o600)
        if group is not None and not secret:
            os.chown(target, 0, group)
            target.chmod(0o640)


def in_place(source: Path, etc: Path = ETC) -> bool:
    """Whether the files of a folder are below /etc/headwater as they are."""
    pairs = [(path, etc / path.relative_to(source)) for path in _files(source)]
    return all(target.is_file() and target.read_bytes() == path.read_bytes() for path, target in pairs)


def digests(etc: Path = ETC) -> dict[str, str]:
    """The SHA-256 of each file below /etc/headwater."""
    return {str(path.relative_to(etc)): sha256_of(path) for path in _files(etc)}


def back_up(etc: Path, before: Path) -> None:
    """Copy /etc/headwater as it is; there is no copy if there is no such folder."""
    shutil.rmtree(before, ignore_errors=True)
    if not etc.is_dir():
        return
    shutil.copytree(etc, before, symlinks=True)
    for path in (*_files(etc), *(path for path in etc.rglob("*") if path.is_dir())):
        copy, info = before / path.relative_to(etc), path.stat()
        os.chown(copy, info.st_uid, info.st_gid)
        sync(copy)
    sync(before)


def restore(before: Path, etc: Path = ETC) -> None:
    """Make /etc/headwater what it was when it was backed up."""
    if not before.is_dir():
        return
    for path in _files(before):
        target, info = etc / path.relative_to(before), path.stat()
        _make_folders(target.parent, etc)
        if not target.is_file() or target.read_bytes() != path.read_bytes():
            write_whole(target, path.read_bytes(), info.st_mode & 0o777)
        os.chown(target, info.st_uid, info.st_gid)
        target.chmod(info.st_mode & 0o777)
    for path in _files(etc):
        if not (before / path.relative_to(etc)).exists():
            path.unlink()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and name.isprintable() and path.name != ""


def _make_folders(folder: Path, etc: Path) -> None:
    for path in reversed((folder, *folder.parents)):
        if not path.is_dir():
            path.mkdir(mode=0o700 if path.name == SECRETS and path.parent == etc else 0o755)


def _group() -> int | None:
    """The service's, once there is one."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None
