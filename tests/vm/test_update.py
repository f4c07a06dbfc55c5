"""`headwater-update` on a board: what a new version, a power cut and a stranger's update lead to."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.rollout.package import make_key, make_update, public_key, read_deb
from deploy.rollout.updater import build_updater
from tests.support.waiting import wait_until
from tests.vm.nspawn import Board
from tests.vm.standins import build_package

pytestmark = pytest.mark.timeout(400)

GATEWAY = "headwater-gateway.service"
LONG_S = 150.0


class UpdatedBoard:
    """A board with `headwater-update`, a trusted key and a configuration; nothing is installed yet."""

    def __init__(self, board: Board, folder: Path, key: Path | None = None) -> None:
        self.board = board
        self.folder = folder
        self.key = key or folder / "updates"
        make_key(self.key)
        board.ssh("cat > /usr/sbin/headwater-update; chmod 755 /usr/sbin/headwater-update", build_updater())
        board.ssh("headwater-update enrol", public_key(self.key).encode())
        board.ssh("cat > /etc/headwater/device.toml", b'name = "bbb1"\n')

    def make(self, version: str, behaviour: str = "healthy", key: Path | None = None, **options: Any) -> Path:
        """A signed update."""
        package = read_deb(build_package(self.folder, version, behaviour, **options))
        return make_update(package, [], "12", key or self.key, self.folder / f"{version}.update")

    def send(self, update: Path) -> str:
        """Have it on the board; its path there."""
        self.board.ssh(f"cat > /root/{update.name}", update.read_bytes())
        return f"/root/{update.name}"

    def install(self, update: Path, *options: str) -> tuple[int, str]:
        """Exit code and output of `headwater-update install`."""
        there = self.send(update)
        command = f"headwater-update install --role gateway {' '.join(options)} {there}"
        code, out, err = self.board.try_ssh(command)
        return code, out + err

    @property
    def status(self) -> dict[str, Any]:
        """`headwater-update status`."""
        found: dict[str, Any] = json.loads(self.board.ssh("headwater-update status --json"))
        return found

    @property
    def running(self) -> str:
        """What the service that runs says of itself; empty if none runs."""
        active = self.board.try_ssh(f"systemctl is-active --quiet {GATEWAY}")[0] == 0
        log = self.board.ssh(f"journalctl -u {GATEWAY} -o cat")
        said = [line for line in log.splitlines() if " of " in line and not line.startswith(("Start", "Stop"))]
        return said[-1] if active and said else ""


@pytest.fixture
def updated(tmp_path: Path) -> Iterator[UpdatedBoard]:
    with Board(tmp_path / "board") as board:
        yield UpdatedBoard(board, tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> UpdatedBoard:
    """The same with version 1.0 installed, and off."""
    folder = tmp_path_factory.mktemp("installed")
    with Board(folder / "board") as board:
        made = UpdatedBoard(board, folder)
        code, said = made.install(made.make("1.0"))
        assert code == 0, said
        board.ssh("sync")
    return made


@pytest.fixture
def one(installed: UpdatedBoard, tmp_path: Path) -> Iterator[UpdatedBoard]:
    """A board like that one."""
    with Board(tmp_path / "board", like=installed.board) as board:
        made = UpdatedBoard(board, tmp_path, installed.key)
        wait_until(lambda: made.running == "1.0 of bbb1", "the service", LONG_S)
        yield made


def test_a_first_version_is_installed_enabled_and_confirmed_and_the_same_again_changes_nothing(
    updated: UpdatedBoard,
) -> None:
    update = updated.make("1.0")
    code, said = updated.install(update)
    assert (code, said.splitlines()[-1]) == (0, "confirmed")
    assert updated.running == "1.0 of bbb1"
    assert updated.status["units"][GATEWAY]["enabled"]
    assert updated.status["current"]["version"] == "1.0"
    run = updated.board.ssh(f"systemctl show -p InvocationID {GATEWAY}")
    code, said = updated.install(update)
    assert (code, said) == (0, "this version is installed, and runs: nothing to do\n")
    assert updated.board.ssh(f"systemctl show -p InvocationID {GATEWAY}") == run, "nothing was restarted"
    assert updated.board.try_ssh("ls /etc/systemd/system/headwater-update-work.service")[0] != 0


def test_an_upgrade_restarts_the_service_once_and_keeps_the_version_before(one: UpdatedBoard) -> None:
    code, said = one.install(one.make("1.1"))
    assert (code, said.splitlines()[-1]) == (0, "confirmed")
    assert one.running == "1.1 of bbb1"
    assert one.status["earlier"]["version"] == "1.0"
    starts = one.board.ssh(f"journalctl -u {GATEWAY} -o cat").count("1.1 of bbb1")
    assert starts == 1
    assert "confirmed" in one.board.ssh("headwater-update roll-back")
    assert one.running == "1.0 of bbb1"


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("never ready", "it has not said that it is ready"),
        ("crashes", "out of cheese"),
        ("hangs", "times (watchdog)"),
        ("samples nothing", "acquires no frames; it says: 0 frames"),
    ],
)
def test_a_version_that_is_not_healthy_is_rolled_back(one: UpdatedBoard, behaviour: str, why: str) -> None:
    code, said = one.install(one.make("1.1", behaviour), "--health-timeout", "25")
    assert code == 1, said
    assert why in said
    assert "1.0 runs again" in said
    assert one.running == "1.0 of bbb1"
    assert one.status["installed"] == "1.0"
    assert one.status["last"]["outcome"] == "rolled back"


@pytest.mark.parametrize("script", ["preinst", "postinst", "prerm"])
def test_a_package_whose_scripts_are_broken_is_rolled_back(one: UpdatedBoard, script: str) -> None:
    behaviour = "crashes" if script == "prerm" else "healthy"
    code, said = one.install(one.make("1.1", behaviour, broken_scripts=(script,)), "--health-timeout", "20")
    assert code == 1, said
    assert "1.0 runs again" in said
    assert one.running == "1.0 of bbb1"
    assert one.board.ssh("dpkg --audit") == ""


def test_a_first_version_that_is_not_healthy_is_left_stopped_and_disabled(updated: UpdatedBoard) -> None:
    code, said = updated.install(updated.make("1.0", "never ready"), "--health-timeout", "5")
    assert code == 1
    assert f"{GATEWAY} is stopped and disabled" in said
    unit = updated.status["units"][GATEWAY]
    assert (unit["state"], unit["enabled"]) == ("inactive", False)
    code, said = updated.install(updated.make("1.0"))
    assert (code, said.splitlines()[-1]) == (0, "confirmed"), "the next try is free to succeed"


def test_a_first_package_that_cannot_be_installed_is_removed_again(updated: UpdatedBoard) -> None:
    code, said = updated.install(updated.make("1.0", broken_scripts=("postinst",)))
    assert code == 1
    assert "this script is broken" in said
    assert "the package was removed again" in said
    assert updated.board.ssh("dpkg --audit") == ""


def test_what_nobody_trusted_has_signed_or_is_not_for_this_board_is_refused(
    one: UpdatedBoard, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    make_key(stranger)
    package = read_deb(build_package(tmp_path, "1.1"))
    cut = one.make("1.5")
    cut.write_bytes(cut.read_bytes()[:-20_000])
    older = make_update(package, [], "12", one.key, tmp_path / "older.update")
    time.sleep(1.1)  # a serial number is a second
    later = one.make("1.1", padding_mib=1)
    refused = {
        one.make("1.2", key=stranger): "the update is not signed by a key of /etc/headwater/update.pub",
        cut: "this is no update of Headwater, or not all of it",
        one.make("1.3", architecture="armhf"): "the update is for armhf; this board is amd64",
        make_update(
            package, [], "13", one.key, tmp_path / "13.update"
        ): "the update is for Debian 13; this board has",
        one.make("0.9"): "0.9 is older than 1.0, which is installed",
        one.make("1.4", depends="python3-nosuch"): "this board lacks python3-nosuch",
    }
    for update, why in refused.items():
        code, said = one.install(update)
        assert (code, why in said) == (2, True), said
    assert one.status["installed"] == "1.0"
    assert one.install(later)[0] == 0
    code, said = one.install(older)
    assert (code, "a later update than this one was installed here already" in said) == (2, True), said
    assert one.status["transaction"] is None or one.status["transaction"]["phase"] == "staging"


def test_another_package_manager_is_waited_for(one: UpdatedBoard) -> None:
    held = (
        "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'a'); fcntl.lockf(f, 2); print(1, flush=True)"
    )
    one.board.ssh(f'nohup python3 -c "{held}; time.sleep(15)" >/tmp/held 2>&1 &')
    wait_until(lambda: one.board.ssh("cat /tmp/held") == "1\n", "the lock")
    code, said = one.install(one.make("1.1"))
    assert (code, said.splitlines()[-1]) == (0, "confirmed")
    assert one.running == "1.1 of bbb1"


def test_who_asked_may_go_away(one: UpdatedBoard) -> None:
    there = one.send(one.make("1.1", "never ready"))
    asking = subprocess.Popen(
        ["ssh", "-F", one.board.config, "root@board", f"headwater-update install --health-timeout 10 {there}"]
    )
    wait_until(lambda: (one.status["transaction"] or {}).get("phase") == "waiting", "the wait for health", LONG_S)
    asking.kill()
    asking.wait()
    wait_until(lambda: one.status["transaction"] is None, "the board's decision", LONG_S)
    assert one.status["last"]["outcome"] == "rolled back"
    assert one.running == "1.0 of bbb1"


@pytest.mark.parametrize(("kills", "outcome"), [(1, "confirmed"), (2, "rolled back")])
def test_the_work_goes_on_when_it_is_killed_but_not_for_ever(one: UpdatedBoard, kills: int, outcome: str) -> None:
    there = one.send(one.make("1.1"))
    with subprocess.Popen(
        ["ssh", "-F", one.board.config, "root@board", f"headwater-update install {there}"]
    ) as asking:
        for attempt in range(1, kills + 1):
            wait_until(
                lambda attempt=attempt: (
                    (one.status["transaction"] or {}).get("phase") == "waiting"  # type: ignore[misc]
                    and one.status["transaction"]["attempts"] == attempt
                ),
                f"attempt {attempt}",
                LONG_S,
            )
            one.board.ssh("systemctl kill --signal=KILL headwater-update-work")
        assert asking.wait(LONG_S) == (0 if outcome == "confirmed" else 1)
    assert one.status["last"]["outcome"] == outcome
    assert one.running == ("1.1 of bbb1" if outcome == "confirmed" else "1.0 of bbb1")


@pytest.mark.parametrize("behaviour", ["healthy", "never ready"])
@pytest.mark.parametrize("phase", ["installing", "waiting"])
def test_a_power_cut_ends_with_the_new_version_if_it_does_and_else_with_the_old(
    one: UpdatedBoard, behaviour: str, phase: str
) -> None:
    there = one.send(one.make("1.1", behaviour, slow_s=5))
    with subprocess.Popen(
        ["ssh", "-F", one.board.config, "root@board", f"headwater-update install --health-timeout 25 {there}"]
    ):
        wait_until(lambda: (one.status["transaction"] or {}).get("phase") == phase, phase, LONG_S)
        if phase == "installing":
            wait_until(lambda: "1.1" in one.board.ssh("dpkg-query -W headwater"), "dpkg's work", LONG_S)
        one.board.cut_power()
    one.board.switch_on()
    wait_until(lambda: one.status["transaction"] is None, "the board's decision", LONG_S)
    works = behaviour == "healthy"
    assert one.status["last"]["outcome"] == ("confirmed" if works else "rolled back")
    assert one.running == ("1.1 of bbb1" if works else "1.0 of bbb1")
    assert one.board.ssh("dpkg --audit") == ""
    assert one.board.try_ssh("ls /etc/systemd/system/headwater-update-work.service")[0] != 0


def test_a_version_that_takes_the_board_down_twice_gets_no_third_chance(one: UpdatedBoard) -> None:
    there = one.send(one.make("1.1"))
    for cut in range(2):
        with subprocess.Popen(
            ["ssh", "-F", one.board.config, "root@board", "true" if cut else f"headwater-update install {there}"]
        ):
            wait_until(
                lambda: (one.status["transaction"] or {}).get("phase") == "waiting", "the wait for health", LONG_S
            )
            one.board.cut_power()
        one.board.switch_on()
    wait_until(lambda: one.status["transaction"] is None, "the board's decision", LONG_S)
    assert "the board went down 2 times" in one.status["last"]["reason"]
    assert one.running == "1.0 of bbb1"
