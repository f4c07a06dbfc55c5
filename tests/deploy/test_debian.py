"""What the Debian package is made of: its version, its scripts, its user, its configuration."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gateway.config import DeviceConfig, RelayConfig, load
from tests.support.processes import ROOT

DEBIAN = ROOT / "deploy" / "debian"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS = [
    *sorted(ROOT.glob("deploy/*.sh")),
    *sorted(DEBIAN.glob("*.sh")),
    *sorted(DEBIAN.glob("headwater.p*")),
    DEBIAN / "bin" / "headwater",
]
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"}


def changelog(suite: str, root: Path = ROOT) -> str:
    """The package's changelog."""
    script = root / "deploy" / "debian" / "changelog.sh"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1"}
    return subprocess.run([script, suite], capture_output=True, text=True, check=True, env=environment).stdout


def older(version: str, than: str) -> bool:
    """dpkg's order of versions."""
    return subprocess.run(["dpkg", "--compare-versions", version, "lt", than]).returncode == 0


def test_the_version_is_the_one_of_pyproject_for_the_suite() -> None:
    version = PROJECT["project"]["version"]

    assert changelog("bookworm").startswith(f"headwater ({version}+deb12) bookworm; urgency=")
    assert changelog("trixie").startswith(f"headwater ({version}+deb13) trixie; urgency=")


def test_a_pre_release_is_older_than_its_release_and_a_newer_debian_has_the_newer_package(tmp_path: Path) -> None:
    assert older("0.2.0~rc1+deb12", "0.2.0+deb12")
    assert older("0.2.0+deb12", "0.2.0+deb13")
    for written, expected in {"0.2.0rc1": "0.2.0~rc1", "1.0.dev3": "1.0~dev3", "1.0a2": "1.0~a2"}.items():
        folder = tmp_path / written
        (folder / "deploy" / "debian").mkdir(parents=True)
        for name in ("changelog.sh", "control"):
            (folder / "deploy" / "debian" / name).write_bytes((DEBIAN / name).read_bytes())
        (folder / "deploy" / "debian" / "changelog.sh").chmod(0o755)
        (folder / "pyproject.toml").write_text(f'[project]\nversion = "{written}"\n')

        assert changelog("bookworm", folder).startswith(f"headwater ({expected}+deb12) ")


def test_a_suite_that_is_not_known_is_refused_with_those_that_are() -> None:
    done = subprocess.run([ROOT / "deploy" / "deb.sh", "amd64", "sid"], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr == "headwater: SUITE=sid: must be bookworm or trixie\n"


def test_an_architecture_that_is_not_known_is_refused_with_those_that_are() -> None:
    done = subprocess.run([ROOT / "deploy" / "deb.sh", "mips", "bookworm"], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr == "headwater: ARCH=mips: must be amd64, arm64 or armhf\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing_in_the_scripts(script: Path) -> None:
    # SC2016: what is in single quotes is another shell's to expand; SC2029: here it is this one's
    command = ["shellcheck", "--external-sources", "--source-path=SCRIPTDIR/../..", "--exclude=SC2016,SC2029"]
    done = subprocess.run([*command, str(script)], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_the_user_belongs_to_the_groups_that_the_rules_give_the_devices(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(DEBIAN / "headwater.sysusers")], check=True)
    lines = (tmp_path / "etc" / "group").read_text().splitlines()
    members = {line.split(":")[0] for line in lines if line.endswith(":headwater")}
    rules = (DEBIAN / "headwater.udev").read_text()
    given = set(re.findall(r'GROUP="(\w+)"', rules)) | set(re.findall(r'HEADWATER_GROUP}="(\w+)"', rules))

    assert given == {"iio", "gpio", "i2c", "spi"}
    assert members == given | {"dialout"}
    assert "headwater:x:" in (tmp_path / "etc" / "passwd").read_text()


def test_the_configuration_that_comes_with_the_package_runs_as_it_is() -> None:
    device = load(DeviceConfig, ROOT / "deploy" / "config" / "device.toml", environment={})
    relay = load(RelayConfig, ROOT / "deploy" / "config" / "relay.toml", environment={})

    assert device.device.board == "simulated"
    assert relay.relay.local


@pytest.mark.parametrize("architecture", MACHINES)
def test_the_lock_holds_what_the_package_needs_on_each_architecture(architecture: str) -> None:
    machine = {"platform_machine": MACHINES[architecture], "sys_platform": "linux", "python_version": "3.11"}
    locked = {}
    for line in (ROOT / "requirements-debian.lock").read_text().splitlines():
        if not re.match(r"[a-z0-9]", line):
            continue
        requirement = Requirement(line.rstrip("\\ "))
        if requirement.marker is None or requirement.marker.evaluate(machine):
            locked[requirement.name] = str(requirement.specifier).removeprefix("==")

    wanted = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    wanted += [Requirement(text) for text in PROJECT["dependency-groups"]["debian"]]
    for requirement in wanted:
        if requirement.name == "numpy" or (requirement.marker and not requirement.marker.evaluate(machine)):
            continue
        name = requirement.name.lower()
        assert name in locked, f"make lock: {requirement} is not in requirements-debian.lock"
        assert requirement.specifier.contains(locked[name]), f"make lock: {requirement}, locked is {locked[name]}"
    assert "numpy" not in locked, "it is Debian's"
    assert ("adafruit-bbio" in locked) == (architecture == "armhf")
