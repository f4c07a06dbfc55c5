"""`make deploy` against a freshly booted board over real ssh: each way it can go ends in a stated state."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.processes import ROOT, RunningProcess
from tests.support.waiting import wait_until
from tests.vm.nspawn import Board
from tests.vm.standins import build_package

pytestmark = pytest.mark.timeout(400)

GATEWAY = "headwater-gateway.service"
LONG_S = 200.0


class Host:
    """The developer's host: packages, a configuration, and `python -m deploy.rollout`."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.board = board
        self.folder = folder
        self.packages = folder / "dist"
        self.packages.mkdir()
        self.config = folder / "device.toml"
        self.config.write_text('name = "bbb1"\n')

    def package(self, version: str, behaviour: str = "healthy", **options: Any) -> Path:
        """Build one into dist/."""
        return build_package(self.packages, version, behaviour, **options)

    def command(self, *arguments: str, user: str = "root", config: bool = True) -> list[str]:
        """What `make deploy` runs."""
        given = {
            "--host": f"{user}@board",
            "--packages": self.packages,
            "--key": self.folder / "update-key",
            "--ssh-config": self.board.config,
            **({"--config": self.config} if config else {}),
        }
        if "--hosts" in arguments:
            del given["--host"]
        flags = [str(part) for pair in given.items() for part in pair]
        return [sys.executable, "-m", "deploy.rollout", *flags, *arguments]

    def deploy(self, *arguments: str, **options: Any) -> tuple[int, str]:
        """Exit code and everything it printed."""
        command = self.command(*arguments, **options)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr

    @property
    def status(self) -> dict[str, Any]:
        """`headwater-update status` on the board."""
        program = "/usr/bin/python3 -I /var/lib/headwater-update/sent"
        found: dict[str, Any] = json.loads(self.board.ssh(f"{program} status --json"))
        return found

    @property
    def running(self) -> str:
        """What the service that runs says of itself; empty if none runs."""
        active = self.board.try_ssh(f"systemctl is-active --quiet {GATEWAY}")[0] == 0
        said = [
            line for line in self.board.ssh(f"journalctl -u {GATEWAY} -o cat").splitlines() if " of bbb" in line
        ]
        return said[-1] if active and said else ""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Board(tmp_path / "board") as board:
        yield Host(board, tmp_path)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host that has deployed version 1.0 to a board, which is off."""
    folder = tmp_path_factory.mktemp("deployed")
    with Board(folder / "board") as board:
        host = Host(board, folder)
        host.package("1.0")
        code, said = host.deploy()
        assert code == 0, said
        board.ssh("sync")
    return host


@pytest.fixture
def one(deployed: Host, tmp_path: Path) -> Iterator[Host]:
    """A board like that one, and a host that has what that one has."""
    with Board(tmp_path / "board", like=deployed.board) as board:
        host = Host(board, tmp_path)
        for name in ("update-key", "update-key.pub", "dist/headwater_1.0_amd64.deb"):
            shutil.copy(deployed.folder / name, tmp_path / name)
        wait_until(lambda: host.running == "1.0 of bbb1", "the service", LONG_S)
        yield host


def test_a_first_deployment_by_a_user_with_sudo_and_the_same_again(host: Host) -> None:
    host.package("1.0")
    code, said = host.deploy(user="debian")
    assert code == 0, said
    assert "made a key to sign updates with" in said
    assert "headwater is not installed yet" in said
    assert "clock: nobody sets it: install chrony" in said, "what headwater doctor has to say"
    assert "nothing → 1.0" in said
    assert host.running == "1.0 of bbb1"
    run = host.board.ssh(f"systemctl show -p InvocationID {GATEWAY}")
    code, said = host.deploy(user="debian")
    assert code == 0
    assert "all is as wanted" in said
    assert host.board.ssh(f"systemctl show -p InvocationID {GATEWAY}") == run, "nothing was restarted"
    assert host.board.ssh("stat -c '%U %a' /var/lib/headwater-update") == "root 700\n"


def test_an_upgrade_with_a_new_configuration(one: Host) -> None:
    one.package("1.1")
    one.config.write_text('name = "bbb2"\n')
    code, said = one.deploy()
    assert code == 0, said
    assert "1.0 → 1.1" in said
    assert one.running == "1.1 of bbb2"
    assert one.status["earlier"]["version"] == "1.0"


def test_a_new_configuration_alone_is_rolled_back_if_it_does_not_do(one: Host) -> None:
    before = one.board.ssh("ls -l --time-style=+ /etc/headwater; cat /etc/headwater/device.toml")
    one.config.write_text('name = "bbb2"\nbroken = true\n')
    code, said = one.deploy("--health-timeout", "15")
    assert code == 1
    assert "there is no such key" in said, "the service's own words"
    assert one.running == "1.0 of bbb1"
    assert one.board.ssh("ls -l --time-style=+ /etc/headwater; cat /etc/headwater/device.toml") == before
    one.config.write_text('name = "bbb3"\n')
    code, said = one.deploy()
    assert code == 0, said
    assert one.running == "1.0 of bbb3"


def test_a_failed_upgrade_is_rolled_back_with_its_configuration_within_a_minute_and_a_bit(one: Host) -> None:
    one.package("1.1", "never ready")
    one.config.write_text('name = "bbb2"\n')
    code, said = one.deploy()
    assert code == 1
    assert "rolled back" in said
    assert "after 60 s headwater-gateway.service is activating" in said
    assert "1.0 runs again" in said
    assert one.running == "1.0 of bbb1"
    assert one.status["installed"] == "1.0"


def test_a_first_deployment_that_fails_leaves_it_stopped_and_disabled(host: Host) -> None:
    host.package("1.0", "crashes")
    code, said = host.deploy("--health-timeout", "20")
    assert code == 1
    assert "out of cheese" in said
    assert f"{GATEWAY} is stopped and disabled" in said
    unit = host.status["units"][GATEWAY]
    assert (unit["state"], unit["enabled"]) == ("inactive", False)


def test_the_bundle_of_a_board_arrives_readable_for_the_service_alone(host: Host) -> None:
    host.package("1.0")
    bundle = host.folder / "bundle"
    bundle.mkdir()
    (bundle / "mqtt.toml").write_text('[mqtt]\nkey = "/etc/headwater/device/key.pem"\n')
    (bundle / "key.pem").write_text("secret\n")
    code, said = host.deploy("--bundle", str(bundle))
    assert code == 0, said
    modes = host.board.ssh("cd /etc/headwater && stat -c '%a %U:%G %n' device.toml device/*")
    assert modes.splitlines() == ["640 root:headwater device.toml", "640 root:headwater device/key.pem"]
    assert "[mqtt]" in host.board.ssh("cat /etc/headwater/device.toml")


def test_a_relay_is_deployed_beside_a_gateway_and_both_have_to_be_healthy(one: Host) -> None:
    (one.folder / "relay.toml").write_text('name = "bbb-relay"\n')
    relay = ("--role", "relay", "--config", str(one.folder / "relay.toml"))
    code, said = one.deploy(*relay, config=False)
    assert code == 0, said
    assert one.board.ssh("systemctl is-active headwater-gateway headwater-relay") == "active\nactive\n"
    assert one.status["units"]["headwater-relay.service"]["enabled"]
    one.package("1.1", "never ready")
    code, said = one.deploy(*relay, "--health-timeout", "15", config=False)
    assert code == 1
    assert "1.0 runs again" in said
    assert one.board.ssh("systemctl is-active headwater-gateway headwater-relay") == "active\nactive\n"


def test_a_board_that_is_away_a_port_without_ssh_and_a_key_that_is_not_known(host: Host) -> None:
    host.package("1.0")
    config = host.board.config.read_text()
    cases = {
        f" Port {host.board.port}\n": (f" Port {free_port()}\n", "takes no ssh connections"),
        "known_hosts\n": ("nobody_known\n", "its host key is not known here"),
        f"{host.board.key}\n": (f"{host.folder}/update-key\n", "it lets nobody in with the keys there are"),
        "127.0.0.1\n": ("board.invalid\n", "there is no such name"),
    }
    for old, (new, why) in cases.items():
        host.board.config.write_text(config.replace(old, new, 1))
        code, said = host.deploy()
        assert (code, why in said) == (1, True), said
    host.board.config.write_text(config)
    known = host.board.folder / "known_hosts"
    known.write_text(known.read_text().split(" ")[0] + " " + (host.folder / "update-key.pub").read_text())
    code, said = host.deploy()
    assert (code, "its host key is another one than before" in said) == (1, True), said


def test_a_board_that_hangs_is_given_up(host: Host) -> None:
    host.package("1.0")
    host.board.ssh("mv /usr/bin/dpkg /usr/bin/dpkg.real; printf '#!/bin/sh\\nsleep 1000\\n' > /usr/bin/dpkg")
    host.board.ssh("chmod 755 /usr/bin/dpkg")
    code, said = host.deploy()
    assert code == 1
    assert "it did not finish within" in said


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("sed -i s/=.*12.*/=11/ /etc/os-release", "packages are there for Debian 12 and 13"),
        ("sed -i s/^ID=.*/ID=ubuntu/ /etc/os-release", "packages are there for Debian 12 and 13"),
        ("rm /usr/bin/python3 && ln -s /bin/false /usr/bin/python3", "it has no Python; 3.11 or newer is needed"),
        ("rm /usr/bin/ssh-keygen", "it has no ssh-keygen"),
        ("rm /etc/sudoers.d/board", "debian may not use sudo there without a password"),
    ],
)
def test_a_board_that_cannot_run_it_is_told_so_and_left_alone(host: Host, change: str, why: str) -> None:
    host.package("1.0")
    host.board.ssh(change)
    code, said = host.deploy(user="debian")
    assert code == 1
    assert why in said
    assert host.board.try_ssh("ls /var/lib/headwater-update")[0] != 0


def test_a_package_for_another_architecture_or_with_dependencies_that_are_missing(host: Host) -> None:
    host.package("1.0", architecture="armhf")
    code, said = host.deploy()
    assert code == 1
    assert "it is amd64 with Debian 12" in said
    assert "there is 1.0 for armhf" in said
    host.package("1.0", depends="python3, python3-serial (>= 3.5)")
    code, said = host.deploy()
    assert code == 1
    assert "it lacks python3-serial (>= 3.5). On the board: sudo apt-get install python3-serial" in said
    assert host.status["installed"] is None


def test_what_the_package_depends_on_is_brought_along_offline(host: Host) -> None:
    debs = host.folder / "debs"
    debs.mkdir()
    subprocess.run(["apt-get", "download", "python3-serial"], cwd=debs, check=True, capture_output=True)
    host.package("1.0", depends="python3 (>= 3.11), python3-serial (>= 3.5)")
    code, said = host.deploy("--debs", str(debs))
    assert code == 0, said
    assert "python3-serial" in said
    host.board.ssh("python3 -c 'import serial'")


def test_too_little_room_is_said_before_anything_is_copied(tmp_path: Path) -> None:
    with Board(tmp_path / "board", "--tmpfs=/var/lib/headwater-update:size=20M,mode=0700") as board:
        host = Host(board, tmp_path)
        host.package("1.0", padding_mib=10)
        code, said = host.deploy()
        assert code == 1
        assert "MiB of free space; there are" in said
        assert host.status["installed"] is None


def test_a_disk_that_fills_up_while_it_is_installed_ends_with_the_version_before(tmp_path: Path) -> None:
    with Board(tmp_path / "board", "--tmpfs=/usr/lib/headwater:size=5M") as board:
        host = Host(board, tmp_path)
        host.package("1.0")
        assert host.deploy()[0] == 0
        host.package("1.1", padding_mib=10)
        code, said = host.deploy()
        assert code == 1
        assert "No space left on device" in said
        assert "1.0 runs again" in said
        assert host.running == "1.0 of bbb1"
        assert board.ssh("dpkg --audit") == ""


def test_a_version_that_was_installed_by_hand_is_fallen_back_to_if_its_package_is_there(host: Host) -> None:
    by_hand = host.package("1.0")
    host.board.ssh("mkdir /etc/headwater; cat > /etc/headwater/device.toml", b'name = "bbb1"\n')
    host.board.ssh(
        "cat > /root/1.deb; dpkg -i /root/1.deb; systemctl enable --now headwater-gateway", by_hand.read_bytes()
    )
    host.package("1.1", "crashes")
    aside = by_hand.rename(host.folder / by_hand.name)
    code, said = host.deploy("--health-timeout", "20")
    assert (code, "its package is not kept" in said) == (1, True), said
    assert host.running == "1.0 of bbb1"
    aside.rename(by_hand)
    code, said = host.deploy("--health-timeout", "20")
    assert code == 1
    assert "to fall back to" in said
    assert "1.0 runs again" in said
    assert host.running == "1.0 of bbb1"


def test_the_board_decides_by_itself_when_the_connection_is_cut(one: Host) -> None:
    one.package("1.1", "hangs")
    with RunningProcess(one.command("--health-timeout", "25")) as deploying:
        deploying.wait_for("waiting …", LONG_S)
        deploying.send(signal.SIGKILL)
    wait_until(lambda: one.status["transaction"] is None, "the board's decision", LONG_S)
    assert one.status["last"]["outcome"] == "rolled back"
    assert one.running == "1.0 of bbb1"


def test_a_deployment_goes_on_when_the_board_is_cut_off_and_comes_back(one: Host) -> None:
    one.package("1.1")
    with RunningProcess(one.command()) as deploying:
        deploying.wait_for("waiting …", LONG_S)
        one.board.cut_power()
        deploying.wait_for("the board goes on by itself", LONG_S)
        one.board.switch_on()
        assert deploying.wait(LONG_S) == 0, deploying
        assert "1.0 → 1.1" in deploying.out
    assert one.running == "1.1 of bbb1"


def test_an_update_that_another_key_signed_is_refused(one: Host) -> None:
    one.package("1.1")
    (one.folder / "update-key").unlink()
    (one.folder / "update-key.pub").unlink()
    code, said = one.deploy()
    assert code == 1
    assert "it trusts updates by another key" in said
    assert one.running == "1.0 of bbb1"
    code, said = one.deploy("--replace-key")
    assert code == 0, said
    assert one.running == "1.1 of bbb1"


def test_a_downgrade_has_to_be_meant(one: Host) -> None:
    one.package("1.1")
    assert one.deploy()[0] == 0
    (one.packages / "headwater_1.1_amd64.deb").unlink()
    code, said = one.deploy()
    assert code == 1
    assert "1.0 is older than 1.1" in said
    assert one.running == "1.1 of bbb1"
    code, said = one.deploy("--allow-downgrade")
    assert code == 0, said
    assert one.running == "1.0 of bbb1"


def test_two_deployments_at_once_do_not_mix(one: Host) -> None:
    one.package("1.1")
    with RunningProcess(one.command()) as deploying:
        deploying.wait_for("waiting …", LONG_S)
        code, said = one.deploy()
        assert code == 1
        assert "an update is under way there already" in said
        assert deploying.wait(LONG_S) == 0, deploying


def test_a_fleet_with_bad_boards_gets_done_and_says_which_they_are(host: Host, tmp_path: Path) -> None:
    host.package("1.0")
    with Board(tmp_path / "second") as second:
        text = second.config.read_text().replace("Host board", "Host second")
        away = text.replace("Host second", "Host away").replace(f"Port {second.port}", f"Port {free_port()}")
        host.board.config.write_text(host.board.config.read_text() + text + away)
        (tmp_path / "bbb2.toml").write_text('name = "bbb2"\nbroken = true\n')
        (tmp_path / "boards.txt").write_text(
            "root@board\nroot@second bbb2.toml  # the one with a mistake\nroot@away\n"
        )
        code, said = host.deploy("--hosts", str(tmp_path / "boards.txt"), "--health-timeout", "25")
        assert code == 1
        table = {line.split()[0]: line for line in said.partition("\n\n")[2].splitlines()}
        assert "updated" in table["root@board"]
        assert "rolled back" in table["root@second"]
        assert "unreachable" in table["root@away"]
        assert "1 of 3 boards are as wanted" in said
        assert host.running == "1.0 of bbb1"


def test_with_first_the_others_are_left_alone_when_the_first_one_fails(host: Host, tmp_path: Path) -> None:
    host.package("1.0", "crashes")
    (tmp_path / "boards.txt").write_text("root@board\nroot@nowhere.invalid\n")
    code, said = host.deploy("--hosts", str(tmp_path / "boards.txt"), "--first", "--health-timeout", "20")
    assert code == 1
    assert "left alone, as root@board did not go well" in said
