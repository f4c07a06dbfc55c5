"""The package, built once from this checkout, and machines with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.vm.nspawn import Container

SUITE, ARCHITECTURE = "bookworm", "amd64"


@pytest.fixture(scope="session")
def deb() -> Path:
    """What `make deb ARCH=amd64` makes, or what $HEADWATER_DEB names."""
    if "HEADWATER_DEB" in os.environ:
        return Path(os.environ["HEADWATER_DEB"]).resolve()
    done = subprocess.run(
        ["deploy/deb.sh", ARCHITECTURE, SUITE], cwd=ROOT, check=True, stderr=subprocess.PIPE, text=True
    )
    return ROOT / done.stderr.splitlines()[-1].removeprefix("headwater: ")


class Machine(Container):
    """One with a broker."""

    packages = ("mosquitto", "mosquitto-clients", "curl")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, deb: Path) -> Iterator[Container]:
    """A machine with the package in /root, and not installed."""
    # systemd-nspawn would refuse to ask the clock, as it does to set it; the package's own sandbox is to be tried
    with Machine(tmp_path_factory.mktemp("machine"), "--system-call-filter=adjtimex clock_adjtime") as machine:
        machine.put(deb, "/root/headwater.deb")
        yield machine


@pytest.fixture(scope="module")
def installed(bare: Container) -> Container:
    """A machine with the package installed, and nothing started."""
    bare.run("dpkg --install /root/headwater.deb")
    return bare
