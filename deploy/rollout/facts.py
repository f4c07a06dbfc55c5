"""What a board is: asked with a shell script, since nothing else can be expected there. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.rollout.errors import DeployError

RELEASES = ("12", "13")
"""The releases of Debian that packages are made for."""
PYTHON = (3, 11)

PROBE = r"""
say() { printf '%s=%s\n' "$1" "$2"; }
say architecture "$(dpkg --print-architecture 2>/dev/null)"
if [ -r /etc/os-release ]; then . /etc/os-release; fi
say system "$ID"
say release "$VERSION_ID"
say name "$PRETTY_NAME"
say python "$(python3 -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)"
say systemd "$([ -d /run/systemd/system ] && echo yes)"
say keygen "$(command -v ssh-keygen)"
say user "$(id -un)"
say root "$(if [ "$(id -u)" = 0 ]; then echo yes; else sudo -n true 2>/dev/null && echo sudo; fi)"
say free_kib "$(df -Pk /var 2>/dev/null | awk 'NR == 2 { print $4 }')"
say updater "$(PATH="$PATH:/usr/sbin" command -v headwater-update)"
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the probe found."""

    architecture: str
    system: str
    release: str
    name: str
    python: str
    systemd: bool
    keygen: bool
    user: str
    root: str
    """`yes`, `sudo`, or nothing."""
    free_kib: int
    updater: str
    """Where headwater-update is; empty if it is not there."""

    def line(self) -> str:
        """The board in one line."""
        return f"{self.name}, {self.architecture}, Python {self.python}, {self.free_kib // 1024:,} MiB free"


def parse_facts(output: str) -> Facts:
    """Read what the probe printed; raises DeployError if it is something else."""
    said = {key: value.strip() for key, _, value in (line.partition("=") for line in output.splitlines())}
    try:
        return Facts(
            architecture=said["architecture"],
            system=said["system"],
            release=said["release"],
            name=said["name"] or said["system"] or "an unknown system",
            python=said["python"],
            systemd=said["systemd"] == "yes",
            keygen=bool(said["keygen"]),
            user=said["user"],
            root=said["root"],
            free_kib=int(said["free_kib"] or 0),
            updater=said["updater"],
        )
    except (KeyError, ValueError):
        raise DeployError(f"this is no board with a shell; it says: {output.strip()[:80] or 'nothing'}") from None


def check(facts: Facts) -> None:
    """Whether Headwater can run there at all; raises DeployError."""
    if not facts.architecture or facts.system not in ("debian", "raspbian"):
        raise DeployError(f"it runs {facts.name}; packages are there for Debian {' and '.join(RELEASES)}")
    if facts.release not in RELEASES:
        raise DeployError(f"it runs {facts.name}; packages are there for Debian {' and '.join(RELEASES)}")
    if not facts.systemd:
        raise DeployError("it was not started by systemd, which has to watch the service")
    if not facts.python or tuple(int(part) for part in facts.python.split(".")[:2]) < PYTHON:
        found = f"Python {facts.python}" if facts.python else "no Python"
        raise DeployError(f"it has {found}; 3.11 or newer is needed: sudo apt-get install python3")
    if not facts.keygen:
        raise DeployError("it has no ssh-keygen to check signatures with: sudo apt-get install openssh-client")
    if not facts.root:
        raise DeployError(
            f"{facts.user} may not use sudo there without a password. Once, on the board: "
            f"echo '{facts.user} ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/headwater-deploy"
        )
