"""What a package lacks on a board."""

from __future__ import annotations

import subprocess

import pytest

from deploy.board.headwater_update.depends import missing, parse_depends, parse_installed
from deploy.board.headwater_update.packages import compare

INSTALLED = parse_installed(
    [
        "installed\tpython3\t3.11.2-1+b1\t",
        "installed\tpython3-numpy\t1:1.24.2-1+deb12u1\tpython3-numpy-abi9, python3-numpy-api (= 16)",
        "config-files\tchrony\t4.3-2\t",
        "half-configured\tlibfoo1\t1.0\t",
    ]
)


@pytest.mark.parametrize(
    ("depends", "lacking"),
    [
        ("python3 (>= 3.11), python3 (<< 3.12)", []),
        ("python3:any (>= 3.11~), python3-numpy (>= 1:1.24)", []),
        ("python3-numpy (>= 2:1)", ["python3-numpy (>= 2:1)"]),
        ("python3 (<< 3.11)", ["python3 (<< 3.11)"]),
        ("chrony | time-daemon, libfoo1", ["chrony | time-daemon", "libfoo1"]),
        ("nothing | python3", []),
        ("python3-numpy-abi9, python3-numpy-api (>= 14)", []),
        ("python3-numpy-abi9 (>= 1)", ["python3-numpy-abi9 (>= 1)"]),
        ("", []),
        ("libc6 (>= 2.34) [linux-any]", ["libc6 (>= 2.34)"]),
    ],
)
def test_only_what_is_installed_whole_and_new_enough_counts(depends: str, lacking: list[str]) -> None:
    assert missing(depends, INSTALLED, compare) == lacking


def test_the_dependencies_of_every_package_on_this_machine_are_understood_and_satisfied() -> None:
    shown = "${db:Status-Status}\\t${Package}\\t${Version}\\t${Provides}\\t${Depends}\\n"
    lines = subprocess.run(["dpkg-query", "-W", f"-f={shown}"], capture_output=True, text=True, check=True).stdout
    packages = [line.split("\t") for line in lines.splitlines()]
    installed = parse_installed("\t".join(package[:4]) for package in packages)
    named = {relation.name for package in packages for group in parse_depends(package[4]) for relation in group}
    assert "libc6" in named
    for state, name, _, _, depends in packages:
        if state == "installed" and len(depends) < 200:  # each version is compared by a process of its own
            assert missing(depends, installed, lambda *_: True) == [], name


def test_nonsense_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not a dependency"):
        parse_depends("python3 (>= 3.11")
