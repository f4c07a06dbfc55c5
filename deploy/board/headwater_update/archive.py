"""The update's file: an uncompressed tar with the manifest, its signature, and then the packages.

The signature comes before what it vouches for, so that a wrong update is refused before its bulk is read.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, BinaryIO

from .errors import Refused
from .manifest import LONGEST, File, Manifest, parse_manifest

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
CHUNK = 1 << 20
UNREADABLE = (tarfile.TarError, EOFError)


def write_update(out: BinaryIO, manifest: Manifest, signature: bytes, places: Mapping[str, Path]) -> None:
    """Write the update of the packages, given by their names in the manifest."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in ((MANIFEST, manifest.to_bytes()), (SIGNATURE, signature)):
            tar.addfile(_member(name, len(content)), io.BytesIO(content))
        for file in manifest.files:
            with places[file.name].open("rb") as package:
                tar.addfile(_member(file.name, file.size), package)


def read_update(
    source: IO[bytes], verify: Callable[[bytes, bytes], None], admit: Callable[[Manifest], None], folder: Path
) -> Manifest:
    """Take an update in, and leave its packages in the folder; raises Refused.

    `verify` gets the manifest's bytes and their signature, `admit` the manifest; both raise Refused.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            data = _small(tar, MANIFEST)
            signature = _small(tar, SIGNATURE)
            verify(data, signature)
            manifest = parse_manifest(data)
            admit(manifest)
            for file in manifest.files:
                _take(tar, file, folder)
            return manifest
    except UNREADABLE as error:
        raise Refused(f"this is no update of Headwater, or not all of it: {error}") from None


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def _next(tar: tarfile.TarFile, name: str) -> tuple[tarfile.TarInfo, IO[bytes]]:
    member = tar.next()
    content = tar.extractfile(member) if member is not None and member.isreg() else None
    if member is None or content is None or member.name != name:
        found = "its end" if member is None else repr(member.name)
        raise Refused(f"this is no update of Headwater, or not all of it: found {found} where {name} is to be")
    return member, content


def _small(tar: tarfile.TarFile, name: str) -> bytes:
    member, content = _next(tar, name)
    if member.size > LONGEST:
        raise Refused(f"{name} has {member.size} bytes; at most {LONGEST} are allowed")
    return content.read()


def _take(tar: tarfile.TarFile, file: File, folder: Path) -> None:
    _, content = _next(tar, file.name)
    digest, left = hashlib.sha256(), file.size
    with (folder / file.name).open("wb") as out:
        while left and (chunk := content.read(min(CHUNK, left))):
            digest.update(chunk)
            out.write(chunk)
            left -= len(chunk)
        out.flush()
        os.fsync(out.fileno())
    if left or content.read(1) or digest.hexdigest() != file.sha256:
        raise Refused(f"{file.name} is not the one that was signed: its size or SHA-256 differs")
