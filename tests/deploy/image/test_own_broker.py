"""How a board that publishes to the broker on it is opened to the network: real commands, a real mosquitto."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway.config import AuthSettings
from gateway.relay.auth import Auth
from tests.deploy.image.programs import program
from tests.support.mosquitto import SBIN
from tests.support.ports import accepts, free_port
from tests.support.processes import ROOT, HeadwaterProcess, RunningProcess
from tests.support.waiting import wait_until

NAME = "headwater-1914bbbk1234"
START = "enable --now headwater-relay.service"
STOP = "disable --now headwater-relay.service"


class Board:
    """Its folders, and the program."""

    def __init__(self, folder: Path, script: ModuleType) -> None:
        self.folder = folder
        self.script = script
        self._asked = folder / "asked"
        systemctl = folder / "systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$*" >>{self._asked}\n')
        systemctl.chmod(0o755)
        for name in ("card", "etc", "mosquitto", "mosquitto/conf.d"):
            (folder / name).mkdir()
        self.place = script.Board(
            card=folder / "card",
            etc=folder / "etc",
            mosquitto=folder / "mosquitto",
            mosquitto_user=pwd.getpwuid(os.getuid()).pw_name,
            opened=folder / "own-broker",
            command=(sys.executable, "-m", "gateway"),
            systemctl=(str(systemctl),),
            name=NAME,
        )
        for name in ("device.toml", "relay.toml"):
            shutil.copy(ROOT / "deploy/config" / name, self.place.etc)

    @property
    def device(self) -> Path:
        return self.folder / "etc" / "device.toml"

    @property
    def relay(self) -> Path:
        return self.folder / "etc" / "relay.toml"

    @property
    def page(self) -> Path:
        return self.folder / "card" / "headwater.html"

    def start(self) -> int:
        code: int = self.script.main(self.place)
        return code

    def asked(self) -> list[str]:
        """What systemd was asked."""
        return self._asked.read_text().splitlines() if self._asked.exists() else []

    def state(self) -> dict[str, tuple[bytes, int]]:
        """Every file, and when it was written."""
        return {
            str(file.relative_to(self.folder)): (file.read_bytes(), file.stat().st_mtime_ns)
            for file in self.folder.rglob("*")
            if file.is_file()
        }

    @contextmanager
    def broker(self) -> Iterator[tuple[int, int]]:
        """Run mosquitto as the board would, on other ports: that for the board, and that for the network."""
        ports = free_port(), free_port()
        conf = self.folder / "mosquitto"
        for name, usual, port in zip(("board", "headwater"), (1883, 8883), ports, strict=True):
            path = conf / "conf.d" / f"{name}.conf"
            assert f"listener {usual}" in path.read_text()
            path.write_text(path.read_text().replace(f"listener {usual}", f"listener {port}"))
        (conf / "mosquitto.conf").write_text(f"user {self.place.mosquitto_user}\ninclude_dir {conf}/conf.d\n")
        with RunningProcess([f"{SBIN}/mosquitto", "-c", str(conf / "mosquitto.conf")]) as mosquitto:
            wait_until(lambda: all(map(accepts, ports)) or not mosquitto.running, "mosquitto")
            assert mosquitto.running, mosquitto
            yield ports


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.chdir(ROOT)
    return Board(tmp_path, program("own_broker", monkeypatch))


def headwater(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gateway", *words], capture_output=True, text=True, timeout=60)


def test_who_has_a_certificate_of_the_board_gets_its_samples_and_nobody_else(board: Board) -> None:
    assert board.start() == 0
    pki = str(board.place.pki)
    assert headwater("provision", "reader", "anna", "--dir", pki, "--broker", "localhost").returncode == 0
    install = (
        "--conf",
        str(board.folder / "mosquitto/conf.d/headwater.conf"),
        "--owner",
        board.place.mosquitto_user,
    )
    assert headwater("provision", "install", "--dir", pki, *install).returncode == 0
    with board.broker() as (local, network):
        board.device.write_text(board.device.read_text().replace("127.0.0.1:1883", f"127.0.0.1:{local}"))
        files = board.place.pki / "readers" / "anna"
        settings = files / "mqtt.toml"
        settings.write_text(settings.read_text().replace("localhost:8883", f"localhost:{network}"))
        with HeadwaterProcess("run", str(board.device), state=board.folder / "device"):
            got = headwater("sub", "headwater/ecg", "--config", str(settings), "--count", "50")
            assert got.returncode == 0, got.stderr
            without = headwater("status", "headwater", "--url", f"mqtt://127.0.0.1:{network}", "--wait", "3")
            assert without.returncode != 0


def test_the_card_has_links_whose_token_the_relay_takes(board: Board) -> None:
    assert board.start() == 0
    assert headwater("relay", "--check", str(board.relay)).returncode == 0
    relay: dict[str, Any] = tomllib.loads(board.relay.read_text())
    assert relay["relay"]["listen"] == "0.0.0.0:8080"
    links = re.findall(r'href="(\S+)/#token=(\S+)"', board.page.read_text())
    assert [place for place, _ in links] == [f"http://{NAME}.local:8080", "http://192.168.7.2:8080"]
    auth = Auth(AuthSettings(secret_file=Path(relay["auth"]["secret_file"])))
    for _, token in links:
        grant = auth.check(token)
        assert grant.admin
        assert grant.allows(f"{NAME}/ecg")
    assert board.asked() == [START]


def test_only_root_reads_the_secrets(board: Board) -> None:
    assert board.start() == 0
    assert stat.S_IMODE(board.place.pki.stat().st_mode) == 0o700
    assert stat.S_IMODE(board.place.tokens.stat().st_mode) == 0o600


def test_another_start_changes_nothing(board: Board) -> None:
    assert board.start() == 0
    board.page.unlink()
    before = board.state()
    assert board.start() == 0
    assert board.state() == before, "what somebody has deleted does not come back"


def test_a_power_cut_before_the_end_is_made_good_at_the_next_start(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise OSError("no power")

    with monkeypatch.context() as patched:
        patched.setattr(board.script, "write_page", cut)
        assert board.start() == 1
    authority = (board.place.pki / "ca" / "ca.pem").read_bytes()
    relay = board.relay.read_text()
    assert board.start() == 0
    assert board.page.exists()
    assert (board.place.pki / "ca" / "ca.pem").read_bytes() == authority
    assert board.relay.read_text() == relay


@pytest.mark.parametrize("table", ["", '[mqtt]\nurl = "mqtt://localhost"\n'], ids=["none", "localhost"])
def test_a_configuration_that_names_no_other_broker_means_the_boards_own(board: Board, table: str) -> None:
    text = re.sub(r"^\[mqtt\]\n(?:[^\[].*\n|\n)*", table, board.device.read_text(), flags=re.MULTILINE)
    assert "1883" not in text
    board.device.write_text(text)
    assert board.start() == 0
    assert board.page.exists()


def name_another_broker(config: Path) -> None:
    config.write_text(config.read_text().replace("mqtt://127.0.0.1:1883", "mqtts://broker.lan:8883"))


def test_a_board_whose_broker_is_elsewhere_is_left_as_it_is(board: Board) -> None:
    name_another_broker(board.device)
    before = board.state()
    assert board.start() == 0
    assert board.state() == before


@pytest.mark.parametrize("relay_has_work", [False, True])
def test_a_board_that_gets_another_broker_needs_no_relay_unless_somebody_has_given_it_work(
    board: Board, relay_has_work: bool
) -> None:
    assert board.start() == 0
    name_another_broker(board.device)
    if relay_has_work:
        name_another_broker(board.relay)
    stopped = [START] if relay_has_work else [START, STOP]
    for _ in range(2):
        assert board.start() == 0
        assert board.asked() == stopped


def test_where_the_relay_listens_somebody_may_have_decided(board: Board) -> None:
    text = board.relay.read_text().replace("127.0.0.1:8080", "10.0.0.7:80")
    board.relay.write_text(f'{text}\n[auth]\nsecret_file = "/etc/headwater/secrets/tokens"\n')
    before = board.relay.read_text()
    assert board.start() == 0
    assert board.relay.read_text() == before


def test_what_fails_is_one_line_and_the_board_goes_on_as_it_was(
    board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    before = board.device.read_text(), board.relay.read_text()
    board.place = replace(board.place, mosquitto_user="nobody-of-that-name")
    assert board.start() == 1
    assert "provision install: " in capsys.readouterr().err
    assert (board.device.read_text(), board.relay.read_text()) == before
    assert not board.page.exists()
