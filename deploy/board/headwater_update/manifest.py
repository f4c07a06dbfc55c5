"""What an update says of itself: the signed part. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from .errors import Refused

FORMAT = 1
PACKAGE = "headwater"
LONGEST = 64 << 10
"""Bytes that a manifest may have."""
LARGEST_FILE = 1 << 30
NAME = re.compile(r"[a-z0-9][A-Za-z0-9.+~%:_-]{0,200}\.deb")
VERSION = re.compile(r"[0-9][A-Za-z0-9.+~:-]{0,100}")
"""Debian policy 5.6.12."""
WORD = re.compile(r"[a-z0-9][a-z0-9.-]{0,30}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class File:
    """A Debian package within the update."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version for one architecture and one release of Debian."""

    version: str
    architecture: str
    """As `dpkg --print-architecture` says it."""
    release: str
    """VERSION_ID of os-release(5): 12."""
    serial: int
    """When it was made, in seconds since 1970: of two updates the later one has the larger number."""
    installed_kib: int
    """What the package takes when installed."""
    package: File
    dependencies: tuple[File, ...] = ()
    """What the package needs of Debian, for boards that do not have it."""

    @property
    def files(self) -> tuple[File, ...]:
        """All packages, in the order in which they are in the update."""
        return (*self.dependencies, self.package)

    @property
    def room_kib(self) -> int:
        """What the update takes on the board: the packages, and the new one installed beside the old one."""
        return self.installed_kib + sum(file.size for file in self.files) // 1024

    def to_bytes(self) -> bytes:
        """The manifest as it is signed."""
        content = {"format": FORMAT, "name": PACKAGE, **asdict(self)}
        return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest; raises Refused."""
    try:
        content = json.loads(data.decode())
        if content["name"] != PACKAGE:
            raise Refused(f"the update is one of {content['name']!r}, not of {PACKAGE!r}")
        if content["format"] != FORMAT:
            raise Refused(
                f"the update has format {content['format']!r}; this board reads format {FORMAT}: "
                "install the version before it first"
            )
        return Manifest(
            version=_word(content["version"], VERSION),
            architecture=_word(content["architecture"], WORD),
            release=_word(content["release"], WORD),
            serial=_count(content["serial"]),
            installed_kib=_count(content["installed_kib"]),
            package=_file(content["package"]),
            dependencies=tuple(_file(each) for each in content["dependencies"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(f"the update's manifest cannot be read: {type(error).__name__}: {error}") from None


def _file(content: Any) -> File:
    file = File(_word(content["name"], NAME), _count(content["size"]), _word(content["sha256"], SHA256))
    if file.size > LARGEST_FILE:
        raise ValueError(f"{file.name} has {file.size} bytes; at most {LARGEST_FILE} are allowed")
    return file


def _word(value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not allowed there")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise ValueError(f"{value!r} is not a count")
    return value
