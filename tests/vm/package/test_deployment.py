"""`make deploy` with the real package: what is sampled meanwhile is delivered or declared."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debs import fields, repacked
from tests.support.mosquitto import Mosquitto
from tests.support.processes import HeadwaterProcess
from tests.vm.nspawn import Board
from tests.vm.test_deploy import Host

pytestmark = pytest.mark.timeout(1800)

CONFIG = """
[device]
name = "bbb1"
[mqtt]
url = "{url}"
[[stream]]
name = "ecg"
rate = 500
[[stream.channel]]
name = "lead_i"
input = "P9_39"
"""
CLOCK = "--system-call-filter=adjtimex clock_adjtime"
"""systemd-nspawn would refuse to ask the clock, as it does to set it."""
SERVICE = "usr/lib/headwater/lib/python3.11/site-packages/gateway/device/service.py"


@pytest.fixture
def host(deb: Path, tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Host]:
    """With the package deployed to a board, which publishes to a broker here."""
    with Board(tmp_path / "board", CLOCK) as board:
        made = Host(board, tmp_path)
        shutil.copy(deb, made.packages)
        made.config.write_text(CONFIG.format(url=mosquitto.url))
        code, said = made.deploy(user="debian")
        assert code == 0, said
        yield made


def test_an_upgrade_and_a_version_that_is_broken_cost_no_frame_that_is_not_declared(
    host: Host, deb: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    first = fields(deb)["Version"]
    with HeadwaterProcess("audit", "bbb1/ecg", "--url", mosquitto.url, state=tmp_path) as audit:
        (tmp_path / "next").mkdir()
        shutil.move(repacked(deb, tmp_path / "next", "0.2.0+deb12"), host.packages)
        code, said = host.deploy(user="debian")
        assert code == 0, said
        assert f"{first} → 0.2.0+deb12" in said

        (tmp_path / "broken").mkdir()
        shutil.move(repacked(deb, tmp_path / "broken", "0.3.0+deb12", break_it), host.packages)
        code, said = host.deploy("--health-timeout", "30", user="debian")
        assert code == 1, said
        assert "division by zero" in said
        assert "0.2.0+deb12 runs again" in said
        assert audit.terminate(60) == 0, audit
    assert host.board.ssh("headwater-update status | head -1").startswith("installed  0.2.0+deb12")
    assert host.board.ssh("systemctl show -p NRestarts headwater-gateway") == "NRestarts=0\n"


def break_it(tree: Path) -> None:
    """A gateway that ends when it starts."""
    service = tree / SERVICE
    service.write_text(service.read_text().replace("    def start(self)", "    def start(self, cheese=1 / 0)", 1))
    assert "1 / 0" in service.read_text()
