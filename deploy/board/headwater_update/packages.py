"""dpkg: what is installed, and installing."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .commands import attempt, fields, last_words, run
from .depends import QUERY, Installed, parse_installed
from .errors import UpdateError
from .manifest import PACKAGE

DPKG = Path("/var/lib/dpkg")
LOCK = DPKG / "lock-frontend"
LOCK_S = 120.0
"""How long another package manager is waited for."""
QUIETLY = {"DPKG_FRONTEND_LOCKED": "1", "DEBIAN_FRONTEND": "noninteractive", "HEADWATER_UPDATE": "1"}
"""The last one tells the package's own scripts to leave the services alone: the update restarts them, once."""
KEEP_CONFIGURATION = ("--force-confdef", "--force-confold")


def installed_version() -> str | None:
    """The version that is installed whole; None if there is none."""
    code, out, _ = attempt("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", PACKAGE)
    state, _, version = out.partition(" ")
    return version if code == 0 and state == "installed" else None


def installed_packages() -> Installed:
    """All that is installed."""
    return parse_installed(run("dpkg-query", "--show", f"--showformat={QUERY}").splitlines())


def newer(version: str, other: str) -> bool:
    """Whether the version is a later one than the other."""
    return compare(version, ">>", other)


def compare(version: str, how: str, other: str) -> bool:
    """`dpkg --compare-versions`."""
    operator = {"<<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">>": "gt"}[how]
    return attempt("dpkg", "--compare-versions", version, operator, other)[0] == 0


def control(package: Path) -> dict[str, str]:
    """The fields of a package; raises UpdateError."""
    wanted = ("Package", "Version", "Architecture", "Depends", "Pre-Depends", "Installed-Size")
    return fields(run("dpkg-deb", "--field", str(package), *wanted), ":")


def architecture() -> str:
    """Debian's name for the machine: armhf, amd64."""
    return run("dpkg", "--print-architecture").strip()


def unfinished() -> str:
    """What dpkg left undone; empty if nothing."""
    return run("dpkg", "--audit").strip()


def settle() -> None:
    """Finish what was interrupted, as far as it can be."""
    with _locked() as environment:
        attempt("dpkg", "--force-confdef", "--force-confold", "--configure", "--pending", environment=environment)


def install(packages: Sequence[Path]) -> None:
    """Install packages, newer or older; changed configuration files stay. Raises UpdateError."""
    with _locked() as environment:
        command = ("dpkg", *KEEP_CONFIGURATION, "--force-downgrade", "--install", *map(str, packages))
        code, out, err = attempt(*command, environment=environment)
    if code != 0:
        said = (err or out).partition("Errors were encountered")[0]  # which names the package once more
        raise UpdateError(f"dpkg could not install {packages[-1].name} ({code}): {last_words(said, 4)}")


def force(package: Path, aside: Path) -> None:
    """Install a package over a broken one, without the broken one's scripts if they are what is in the way."""
    try:
        install([package])
    except UpdateError:
        aside.mkdir(exist_ok=True)
        for script in (DPKG / "info").glob(f"{PACKAGE}.p*"):
            if script.suffix in (".prerm", ".postrm"):
                shutil.move(script, aside / script.name)
        install([package])


def remove() -> None:
    """Remove a package that is not whole, and leave its configuration."""
    with _locked() as environment:
        attempt("dpkg", "--force-remove-reinstreq", "--remove", PACKAGE, environment=environment)


@contextmanager
def _locked() -> Iterator[dict[str, str]]:
    """Keep apt out, as apt keeps others out; gives dpkg's environment. Raises UpdateError."""
    with LOCK.open("a") as lock:
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise UpdateError(
                        f"another package manager has held {LOCK} for {LOCK_S:g} s: try again when it is done"
                    ) from None
                time.sleep(0.5)
        yield {**QUIETLY, "PATH": _path()}


def _path() -> str:
    """dpkg insists on the folders of administrators."""
    return ":".join(
        dict.fromkeys([*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    )
