"""Running the tools that the image is made with, and saying what went wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SBIN = "/usr/sbin:/sbin"
"""Where Debian has mke2fs and sfdisk, which is not in every user's PATH."""

LAST_LINES = 20


class ImageError(RuntimeError):
    """The image cannot be made; one line that says why, and what to do."""


def say(text: str) -> None:
    """One line for whoever waits."""
    print(f"headwater: {text}", file=sys.stderr, flush=True)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the tools in the path and messages in English."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), SBIN])
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", **(extra or {})}


def need(packages: Mapping[str, str]) -> None:
    """Raise ImageError unless each command is there; `packages` says which Debian package has it."""
    path = environment()["PATH"]
    missing = {command: package for command, package in packages.items() if not shutil.which(command, path=path)}
    if missing:
        wanted = " ".join(sorted(set(missing.values())))
        raise ImageError(f"{', '.join(missing)} not found: apt-get install --no-install-recommends {wanted}")


def run(*command: str | Path, stdin: str | None = None, extra: Mapping[str, str] | None = None) -> str:
    """Run a command; its standard output. Raises ImageError with the last lines it said."""
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        env=environment(extra),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ImageError(failure(command, done.returncode, done.stdout + done.stderr))
    return done.stdout


def run_logged(command: Sequence[str | Path], log: Path, extra: Mapping[str, str] | None = None) -> None:
    """Run a long command whose output goes to a file. Raises ImageError with its last lines."""
    with log.open("w") as out:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            env=environment(extra),
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        said = failure(command, done.returncode, log.read_text(errors="replace"))
        raise ImageError(f"{said}\n(all of it: {log})")


def failure(command: Sequence[str | Path], code: int, output: str) -> str:
    """What is said of a command that failed."""
    last = "\n".join(output.strip().splitlines()[-LAST_LINES:])
    return f"{Path(str(command[0])).name} failed with exit code {code}:\n{last}"


def in_user_namespace() -> list[str]:
    """What a command needs before it to own files of any user: nothing for root, else a user namespace."""
    if os.geteuid() == 0:
        return []
    return ["unshare", "--user", "--map-root-user", "--map-auto", "--"]
