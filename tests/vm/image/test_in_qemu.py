"""The gateway on a whole board in QEMU, whose kernel enforces what the unit says. Power cuts, upgrades."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.image import build
from deploy.image.layout import MIB
from tests.support.debs import fields, repacked
from tests.support.processes import ROOT, HeadwaterProcess
from tests.support.waiting import wait_until
from tests.vm.image import gateway_on_card as gateway
from tests.vm.image.broker import Broker
from tests.vm.image.cards import Made
from tests.vm.image.gateway_on_card import STREAM, UNIT, listening
from tests.vm.image.login import Shell, show
from tests.vm.image.qemu import CARD_SIZE, HOST, MQTTS, Board, copy_card
from tests.vm.image.running import GatewayContract, start

pytestmark = pytest.mark.timeout(7200)

POWER_CUTS = int(os.environ.get("HEADWATER_POWER_CUTS", "20"))
HEALTH_S = 600
"""Emulated: a BeagleBone has 60."""
SERVICE = "usr/lib/headwater/lib/python3.11/site-packages/gateway/device/service.py"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker"), [HOST]) as broker:
        yield broker


@pytest.fixture(scope="module")
def board(made: Made, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A card that was started, with the gateway running."""
    folder = tmp_path_factory.mktemp("board")
    card = copy_card(made.image, folder / "card.img", CARD_SIZE)
    with Board(folder, card, boot=made.kernel, append=made.append, broker=broker.port) as board:
        start(board.login, broker, HOST, MQTTS)
        yield board


class TestTheGateway(GatewayContract):
    """With the memory limit and the other bounds that a container does not have."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, board: Board, broker: Broker) -> tuple[Shell, Broker]:
        return board.login, broker

    def test_the_kernel_holds_it_to_its_memory(self, board: Board) -> None:
        group = show(board.login, UNIT, "ControlGroup")["ControlGroup"]
        assert int(board.login.run(f"cat /sys/fs/cgroup{group}/memory.max")) == 224 * MIB
        print(f"\nmemory.peak {int(board.login.run(f'cat /sys/fs/cgroup{group}/memory.peak')) // MIB} MiB")


def test_wherever_the_power_is_cut_the_board_comes_back_and_nothing_is_lost_silently(
    board: Board, broker: Broker, tmp_path: Path
) -> None:
    chance = random.Random(6)
    took = []
    with listening(broker) as listener:
        listener.wait_for_more(50)
        audit = HeadwaterProcess(
            "audit", STREAM, "--url", broker.plain_url, "--json", "--settle", "120", state=tmp_path
        )
        with audit:
            listener.wait_for_more(50)
            for _ in range(POWER_CUTS):
                known = len(listener.epochs)
                began = time.monotonic()
                board.cut_power()
                board.switch_on(wait=False)
                wait_until(lambda n=known: len(listener.epochs) > n, "frames after the cut", gateway.COLD_START_S)  # type: ignore[misc]
                took.append(time.monotonic() - began)
                listener.wait_for_more(chance.randrange(1, 300))
            assert audit.terminate(300) == 0, audit
            report = json.loads(audit.out)
    print(f"\n{POWER_CUTS} cuts, {sum(took) / len(took):.0f} s each: {report}")
    assert report["undeclared"] == 0
    assert len(report["epochs"]) >= POWER_CUTS
    board.wait_for_login()
    assert board.login.run("systemctl show -p NRestarts --value headwater-gateway") == "0"


def more_epochs(listener: gateway.Listener, known: int) -> bool:
    return len(listener.epochs) > known


class TestUpdates:
    """`make deploy` of the real package to the board, over ssh."""

    @pytest.fixture(scope="class")
    @classmethod
    def debs(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A newer version, and one that ends when it starts."""
        folder = tmp_path_factory.mktemp("debs")
        deb = build.find_deb(ROOT / "dist", "bookworm")
        for name, version, change in (("next", "9.1+deb12", lambda _: None), ("broken", "9.2+deb12", break_it)):
            (folder / name).mkdir()
            repacked(deb, folder / name, version, change)
        return folder

    def deploy(self, board: Board, packages: Path) -> tuple[int, str]:
        """Exit code and all that is said."""
        config = board.folder / "ssh_config"
        config.write_text(board.login.config("board"))
        options = ["--host", "board", "--ssh-config", str(config), "--health-timeout", str(HEALTH_S)]
        options += ["--key", str(board.folder / "update-key"), "--packages", str(packages)]
        command = [sys.executable, "-m", "deploy.rollout", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600)
        return done.returncode, done.stdout + done.stderr

    def test_an_upgrade_a_roll_back_and_a_broken_version_cost_no_frame_that_is_not_declared(
        self, board: Board, broker: Broker, debs: Path, tmp_path: Path
    ) -> None:
        first = fields(build.find_deb(ROOT / "dist", "bookworm"))["Version"]
        with (
            listening(broker) as listener,
            HeadwaterProcess(
                "audit", STREAM, "--url", broker.plain_url, "--settle", "120", state=tmp_path
            ) as audit,
        ):
            listener.wait_for_more(50)
            code, said = self.deploy(board, debs / "next")
            assert code == 0, said
            assert f"{first} → 9.1+deb12" in said
            listener.wait_for_more(50)

            code, said = self.deploy(board, debs / "broken")
            assert code == 1, said
            assert "9.1+deb12 runs again" in said
            listener.wait_for_more(50)

            said = board.login.run(f"headwater-update roll-back --health-timeout {HEALTH_S}", timeout=3600)
            assert "confirmed" in said
            assert board.login.run("dpkg-query -W -f '${Version}' headwater") == first
            listener.wait_for_more(50)
            assert audit.terminate(300) == 0, audit


def break_it(tree: Path) -> None:
    """A gateway that ends when it starts."""
    service = tree / SERVICE
    service.write_text(service.read_text().replace("    def start(self)", "    def start(self, cheese=1 / 0)", 1))
    assert "1 / 0" in service.read_text()
