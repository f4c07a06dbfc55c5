"""Logging in to a board by ssh, with the key that the tests' cards are made with."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.support.processes import ROOT

USER = "debian"
SECRET = ROOT / "build" / "vm" / "login"
"""Kept, so that the cards made with it are too."""


def key() -> Path:
    """The private key; made once. Its public half is beside it."""
    if not SECRET.exists():
        SECRET.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(SECRET)], check=True)
    return SECRET


def public_key() -> Path:
    """The public key's file."""
    return key().with_suffix(".pub")


class Shell(Protocol):
    """Something that runs scripts as root on a board, whether it is reached by ssh or not."""

    def run(self, command: str, /) -> str:
        """The output of a script that must succeed."""

    def put(self, source: Path, name: str, /) -> None:
        """Copy a file to the board."""


def show(shell: Shell, unit: str, *properties: str) -> dict[str, str]:
    """What systemd on the board knows of a unit."""
    wanted = " ".join(f"-p {each}" for each in properties)
    lines = shell.run(f"systemctl show {wanted} {unit}").strip().splitlines()
    return dict(line.split("=", 1) for line in lines)


class Login:
    """One board's ssh server."""

    def __init__(self, host: str, port: int = 22) -> None:
        self._host = host
        self._port = port

    def command(self, *words: str, options: Sequence[str] = ()) -> list[str]:
        """The ssh command that runs the words on the board."""
        common = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5")
        given = [word for option in (*options, *common, "IdentitiesOnly=yes") for word in ("-o", option)]
        place = ["-F", "none", "-i", str(key()), "-p", str(self._port), f"{USER}@{self._host}"]
        return ["ssh", *given, *place, *words]

    def attempt(self, script: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root on the board."""
        command = self.command("sudo", "bash", "-eu", options=("BatchMode=yes",))
        return subprocess.run(command, input=script, capture_output=True, text=True, timeout=timeout)

    def works(self) -> bool:
        """Whether one can log in."""
        return self.attempt("true", timeout=60).returncode == 0

    def run(self, script: str, timeout: float = 300) -> str:
        """The output of a script that must succeed."""
        done = self.attempt(script, timeout)
        assert done.returncode == 0, f"exit code {done.returncode} of: {script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def lines(self, script: str) -> list[str]:
        """The lines that a script writes."""
        return self.run(script).splitlines()

    def config(self, name: str) -> str:
        """ssh_config(5) by which it is reached under that name."""
        return (
            f"Host {name}\n HostName {self._host}\n Port {self._port}\n User {USER}\n IdentityFile {key()}\n"
            " IdentitiesOnly yes\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n BatchMode yes\n"
            " LogLevel ERROR\n ConnectTimeout 60\n"
        )

    def put(self, source: Path, target: str) -> None:
        """Copy a file to the board."""
        with source.open("rb") as content:
            command = self.command(f"sudo tee {target} >/dev/null", options=("BatchMode=yes",))
            subprocess.run(command, stdin=content, check=True, timeout=300)
