"""What is in the package, and what Debian's own checker says of it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.debs import contents, fields
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(1800)  # the first time there are a chroot and wheels to be made

LARGEST_MIB = 12
MINOR_OF_PYTHON = {"deb12": 11, "deb13": 13}
UNITS = {
    "deb12": [
        "/lib/systemd/system/headwater-gateway.service",
        "/lib/systemd/system/headwater-relay.service",
        "/lib/udev/rules.d/60-headwater.rules",
    ],
    "deb13": [
        "/usr/lib/systemd/system/headwater-gateway.service",
        "/usr/lib/systemd/system/headwater-gateway.service.d/backoff.conf",
        "/usr/lib/systemd/system/headwater-relay.service",
        "/usr/lib/systemd/system/headwater-relay.service.d/backoff.conf",
        "/usr/lib/udev/rules.d/60-headwater.rules",
    ],
}
"""Where each release of Debian has them, and which it knows."""
ARCHITECTURES = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "armhf": "arm-linux-gnueabihf",
}
"""What Python calls them in the names of its modules."""


@pytest.fixture
def release(deb: Path) -> str:
    """The release of Debian that it is for."""
    return fields(deb)["Version"].rpartition("+")[2]


@pytest.fixture
def minor(release: str) -> int:
    """The version of its Python."""
    return MINOR_OF_PYTHON[release]


@pytest.fixture
def site(minor: int) -> str:
    """Where its Python looks for packages."""
    return f"/usr/lib/headwater/lib/python3.{minor}/site-packages"


def test_lintian_finds_no_error(deb: Path) -> None:
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error", str(deb)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


def test_its_version_is_the_projects_and_its_python_the_suites(deb: Path, release: str, minor: int) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    found = fields(deb)
    needed = {depends.strip() for depends in found["Depends"].split(",")}

    assert (found["Package"], found["Version"]) == ("headwater", f"{version}+{release}")
    assert found["Architecture"] in ARCHITECTURES
    python = {f"python3 (>= 3.{minor})", f"python3 (<< 3.{minor + 1})"}
    assert {*python, "python3-numpy (>= 1:1.24)"} <= needed


def test_everything_is_where_debian_has_it(deb: Path, release: str) -> None:
    there = contents(deb)
    files = [path for path, (mode, _) in there.items() if not mode.startswith("d")]
    elsewhere = [
        path for path in files if not path.startswith(("/usr/lib/headwater/", "/usr/share/doc/headwater/"))
    ]

    assert sorted(elsewhere) == sorted(
        [
            "/etc/headwater/device.toml",
            "/etc/headwater/relay.toml",
            *UNITS[release],
            "/usr/bin/headwater",
            "/usr/lib/sysusers.d/headwater.conf",
            "/usr/sbin/headwater-update",
        ]
    )
    assert there["/etc/headwater/secrets/"] == ("drwx------", "root/root")
    assert {owner for _, owner in there.values()} == {"root/root"}
    assert not [path for path, (mode, _) in there.items() if re.search("[st]", mode, re.IGNORECASE)], "set-uid"


def test_it_holds_the_page_and_no_numpy_and_nothing_compiled_for_another_python(
    deb: Path, minor: int, site: str
) -> None:
    there = contents(deb)

    assert f"{site}/gateway/relay/web/dist/index.html" in there
    assert not [path for path in there if path.startswith(f"{site}/numpy")]
    assert not [path for path in there if path.endswith(".pyc")]
    assert "/usr/lib/headwater/bin/python3 -> ../../../bin/python3" in there
    modules = [path for path in there if ".cpython-" in path]
    assert modules
    assert all(f".cpython-3{minor}-{ARCHITECTURES[fields(deb)['Architecture']]}.so" in path for path in modules)


def test_what_drives_a_beaglebones_pins_is_in_the_package_for_its_processor(deb: Path, site: str) -> None:
    there = contents(deb)
    found = {name for name in ("Adafruit_BBIO", "adafruit_blinka") if f"{site}/{name}/" in there}

    assert (
        found
        == {
            "armhf": {"Adafruit_BBIO", "adafruit_blinka"},
            "arm64": {"adafruit_blinka"},
            "amd64": set(),
        }[fields(deb)["Architecture"]]
    )


def test_it_fits_a_boards_card(deb: Path) -> None:
    assert deb.stat().st_size < LARGEST_MIB << 20


def test_what_it_holds_is_what_the_lock_names(deb: Path, site: str) -> None:
    lock = (ROOT / "requirements-debian.lock").read_text()
    locked = {
        f"{name.replace('-', '_')}-{version}" for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.M)
    }
    names = {path.removeprefix(f"{site}/").split("/")[0] for path in contents(deb) if path.startswith(site)}
    held = {name.removesuffix(".dist-info").lower() for name in names if name.endswith(".dist-info")}

    held = {name for name in held if not name.startswith("headwater-")}
    assert held
    assert held <= locked, f"built with {sys.version}"
