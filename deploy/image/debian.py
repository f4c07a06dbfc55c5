"""Root file systems from Debian's packages, made by mmdebstrap for the board's processor under emulation.

Two layers: Debian's packages, which are kept as long as their list is the same, and ours on top of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.image.tools import ImageError, run_logged, say

ARCHITECTURE = "armhf"
MIRROR = "http://deb.debian.org/debian"
VERSIONS = {"bookworm": 12, "trixie": 13}
SECURITY = "http://deb.debian.org/debian-security"

PACKAGES = (
    # starts and runs
    "linux-image-armmp",
    "u-boot-omap",
    "systemd",
    "systemd-sysv",
    "systemd-resolved",
    "udev",
    "dbus",
    "kmod",
    "iproute2",
    "netbase",
    "ca-certificates",
    # what Headwater stands on
    "python3",
    "python3-numpy",
    "mosquitto",
    "chrony",
    # gets in and looks around
    "openssh-server",
    "sudo",
    "iputils-ping",
    "less",
    "nano",
    "i2c-tools",
    # what headwater-image needs
    "busybox-static",
    "cpio",
    "device-tree-compiler",
    "e2fsck-static",
    "e2fsprogs",
    "fdisk",
    "mtools",
)

LEFT_OUT = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
)

NO_INDEX = ("Failed to fetch", "is not valid yet", "does not have a Release file")


@dataclass(frozen=True, slots=True)
class Archive:
    """Where packages come from. `security` is a mirror, or None to build without security updates."""

    suite: str = "bookworm"
    mirror: str = MIRROR
    security: str | None = SECURITY

    def lines(self) -> tuple[str, ...]:
        """The lines of sources.list."""
        plain = (f"deb {self.mirror} {self.suite} main", f"deb {self.mirror} {self.suite}-updates main")
        return plain if self.security is None else (*plain, f"deb {self.security} {self.suite}-security main")


def base_layer(cache: Path, archive: Archive, stub: Path) -> Path:
    """A tar archive with all packages from Debian; made if there is none for this list. Raises ImageError."""
    key = hashlib.sha256("\n".join((*archive.lines(), *PACKAGES, *LEFT_OUT, stub.name)).encode()).hexdigest()[:12]
    tar = cache / f"base-{archive.suite}-{key}.tar"
    if tar.exists():
        return tar
    say(f"installing Debian {archive.suite} for {ARCHITECTURE} under emulation: some minutes, once …")
    options = [f"--dpkgopt={line}" for line in LEFT_OUT]
    first = [
        f'copy-in "{stub}" /tmp',
        f'chroot "$1" dpkg --install "/tmp/{stub.name}"',
        f'rm "$1/tmp/{stub.name}"',
    ]
    options += [f"--essential-hook={hook}" for hook in first]
    _mmdebstrap(cache, tar, archive, ["--variant=minbase", f"--include={','.join(PACKAGES)}", *options])
    return tar


def top_layer(
    cache: Path, tar: Path, archive: Archive, base: Path, hooks: Sequence[str], variables: Mapping[str, str]
) -> None:
    """The base with what the hooks do to it, as another tar archive. Raises ImageError."""
    options = [
        "--variant=custom",
        f'--setup-hook=tar --extract --file "{base}" --directory "$1"',
        *(f"--customize-hook={hook}" for hook in hooks),
    ]
    _mmdebstrap(cache, tar, archive, options, variables)


def _mmdebstrap(
    cache: Path, tar: Path, archive: Archive, options: Sequence[str], variables: Mapping[str, str] | None = None
) -> None:
    mode = "root" if os.geteuid() == 0 else "unshare"
    unfinished = tar.with_suffix(".part.tar")
    command = [
        "mmdebstrap",
        f"--mode={mode}",
        f"--architectures={ARCHITECTURE}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Retries "3"',
        *options,
        archive.suite,
        str(unfinished),
        *archive.lines(),
    ]
    log = cache / f"{tar.stem}.log"
    try:
        run_logged(command, log, variables)
    except ImageError as error:
        unfinished.unlink(missing_ok=True)
        if any(text in log.read_text(errors="replace") for text in NO_INDEX):
            raise ArchiveError(str(error)) from None
        raise
    unfinished.rename(tar)


class ArchiveError(ImageError):
    """A mirror does not have what it should."""
