"""An update on a board whose memory is lost with the power: what is on disk has to do."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tests.vm.test_update import GATEWAY, UpdatedBoard
from tests.vm.virtual import BootableBoard, VirtualBoard

pytestmark = pytest.mark.timeout(5400)

PADDING_MIB = 8
CUTS_S = (0.3, 4.0)
"""How long after the installation began: an emulated dpkg takes some seconds for this package."""
DECISION_S = 900.0


@pytest.fixture
def updated(tmp_path: Path) -> Iterator[UpdatedBoard]:
    """With version 1.0 installed."""
    (tmp_path / "before").mkdir()
    with BootableBoard(tmp_path / "before" / "board") as board:
        before = UpdatedBoard(board, tmp_path / "before")
        code, said = before.install(before.make("1.0", padding_mib=PADDING_MIB))
        assert code == 0, said
        board.ssh("sync")
    with VirtualBoard(tmp_path / "board", like=board) as emulated:
        yield UpdatedBoard(emulated, tmp_path, before.key)


def test_wherever_the_power_is_cut_the_new_version_is_whole_in_the_end(updated: UpdatedBoard) -> None:
    padding = hashlib.sha256(bytes(PADDING_MIB << 20)).hexdigest()
    for number, after_s in enumerate(CUTS_S, 1):
        version = f"1.{number}"
        there = updated.send(updated.make(version, padding_mib=PADDING_MIB))
        command = f"headwater-update install --health-timeout 300 {there}"
        with subprocess.Popen(
            ["ssh", "-F", updated.board.config, "root@board", command], stdout=subprocess.PIPE
        ) as asking:
            assert asking.stdout
            assert asking.stdout.readline().decode() == "installing …\n"
            time.sleep(after_s)
            updated.board.cut_power()
        updated.board.switch_on()
        wait_until(lambda: updated.status["transaction"] is None, "the board's decision", DECISION_S)
        assert updated.status["last"]["outcome"] == "confirmed", (after_s, updated.status)
        assert updated.status["installed"] == version
        assert updated.running == f"{version} of bbb1"
        assert updated.board.ssh("sha256sum < /usr/lib/headwater/padding").split()[0] == padding
        assert updated.board.ssh("dpkg --audit") == ""
        assert updated.board.ssh(f"systemctl is-enabled {GATEWAY}") == "enabled\n"
