"""An apt of its own for the board's processor: finds out what is missing in a system that does not run here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy.image.debian import ARCHITECTURE, Archive, ArchiveError
from deploy.image.tools import ImageError, run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Apt:
    """Nothing of this computer's apt is used or changed."""

    def __init__(self, folder: Path, archive: Archive, status: bytes) -> None:
        """`status` is the system's /var/lib/dpkg/status. Raises ArchiveError if a mirror fails."""
        self.folder = folder.resolve()
        for name in ("state/lists/partial", "cache/archives/partial", "etc/trusted", "etc/parts"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "state/status").write_bytes(status)
        lines = [line.replace("deb ", f"deb [signed-by={KEYRING}] ", 1) for line in archive.lines()]
        (self.folder / "etc/sources.list").write_text("\n".join(lines) + "\n")
        (self.folder / "apt.conf").write_text(self._configuration())
        try:
            self._apt("update")
        except ImageError as error:
            raise ArchiveError(str(error)) from None

    def download(self, *wanted: str | Path) -> list[Path]:
        """The packages that are missing for these, which may be files. Raises ImageError if they do not fit."""
        names = [str(each.resolve()) if isinstance(each, Path) else each for each in wanted]
        self._apt("install", "--yes", "--no-install-recommends", "--download-only", *names)
        return sorted((self.folder / "cache/archives").glob("*.deb"))

    def _apt(self, *words: str) -> str:
        return run("apt-get", "--quiet", *words, extra={"APT_CONFIG": str(self.folder / "apt.conf")})

    def _configuration(self) -> str:
        settings = {
            "APT::Architecture": ARCHITECTURE,
            "APT::Architectures": ARCHITECTURE,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "1",
            "Dir::Cache": f"{self.folder}/cache",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": f"{self.folder}/etc/parts",
            "Dir::Etc::preferencesparts": f"{self.folder}/etc/parts",
            "Dir::Etc::sourcelist": f"{self.folder}/etc/sources.list",
            "Dir::Etc::sourceparts": f"{self.folder}/etc/parts",
            "Dir::Etc::trustedparts": f"{self.folder}/etc/trusted",
            "Dir::State": f"{self.folder}/state",
            "Dir::State::status": f"{self.folder}/state/status",
        }
        return "".join(f'{key} "{value}";\n' for key, value in settings.items())


def first(paths: Sequence[Path], prefix: str) -> Path:
    """The package whose file name begins so. Raises ImageError if there is none."""
    for path in paths:
        if path.name.startswith(prefix):
            return path
    raise ImageError(f"no package {prefix}… among {', '.join(path.name for path in paths) or 'none'}")
