"""What is asked of a board before anything is copied."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from deploy.rollout.errors import DeployError
from deploy.rollout.facts import PROBE, check, parse_facts

BOARD = (
    "architecture=armhf\nsystem=debian\nrelease=12\nname=Debian GNU/Linux 12 (bookworm)\npython=3.11.2\n"
    "systemd=yes\nkeygen=/usr/bin/ssh-keygen\nuser=debian\nroot=sudo\nfree_kib=1048576\nupdater=\n"
)


def test_a_board_is_read_and_told_in_a_line() -> None:
    facts = parse_facts(BOARD)
    check(facts)
    assert facts.line() == "Debian GNU/Linux 12 (bookworm), armhf, Python 3.11.2, 1,024 MiB free"


def test_the_probe_runs_in_a_plain_shell_and_is_understood() -> None:
    said = subprocess.run(
        ["sh", "-c", PROBE], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    facts = parse_facts(said.stdout)
    assert facts.architecture
    assert facts.python.startswith("3.")
    assert facts.free_kib > 0
    assert said.stderr == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"release": "11", "name": "Debian 11"}, "it runs Debian 11; packages are there for Debian 12 and 13"),
        ({"system": "ubuntu", "release": "24.04"}, "packages are there for Debian 12 and 13"),
        ({"architecture": ""}, "packages are there for Debian"),
        ({"systemd": False}, "was not started by systemd"),
        ({"python": ""}, "it has no Python; 3.11 or newer is needed"),
        ({"python": "3.9.2"}, "it has Python 3.9.2; 3.11 or newer is needed"),
        ({"keygen": False}, "apt-get install openssh-client"),
        ({"root": ""}, "debian may not use sudo there without a password. Once, on the board: echo 'debian ALL"),
    ],
)
def test_what_cannot_run_it_is_told_why_and_what_to_do(change: dict[str, str], why: str) -> None:
    with pytest.raises(DeployError, match=why):
        check(replace(parse_facts(BOARD), **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["", "This account is not available.\n", "architecture=armhf\n"])
def test_something_that_is_no_shell_is_told_what_it_said(said: str) -> None:
    with pytest.raises(DeployError, match="this is no board with a shell"):
        parse_facts(said)
