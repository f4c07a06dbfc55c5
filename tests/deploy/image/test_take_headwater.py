"""What a board takes from its card's first partition, and what it says of what it cannot use."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.deploy.image.programs import program
from tests.support.processes import ROOT

FIRST = """\
# with a comment of the package's: [mqtt]
[device]
name = "headwater"        # its name in topics
board = "simulated"

[mqtt]
url = "mqtt://127.0.0.1:1883"
# ca = "/etc/headwater/ca.pem"

[[stream]]
name = "ecg"
rate = 500
[[stream.channel]]
name = "lead_i"
input = "P9_39"
"""


class Board:
    """Its folders, and the script."""

    def __init__(self, folder: Path, script: ModuleType) -> None:
        self.card, self.etc, self.state = folder / "card", folder / "etc", folder / "state"
        for path in (self.card, self.etc, self.state):
            path.mkdir()
        self.config.write_text(FIRST)
        self._script = script

    @property
    def config(self) -> Path:
        return self.etc / "device.toml"

    @property
    def note(self) -> str:
        path = self.card / "headwater-error.txt"
        return path.read_text() if path.exists() else ""

    def start(self) -> int:
        code: int = self._script.main(str(self.card), str(self.etc), str(self.state))
        return code

    def read(self) -> dict[str, dict[str, str]]:
        return tomllib.loads(self.config.read_text())

    def offer_certificates(self, name: str = "bbb7") -> Path:
        """As `headwater provision device` makes them."""
        folder = self.card / "certificates"
        folder.mkdir()
        subject = [
            "-subj",
            f"/CN={name}",
            "-days",
            "2",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
        subprocess.run(["openssl", "req", "-x509", *subject, *files], check=True, capture_output=True)
        (folder / "ca.pem").write_text((folder / "cert.pem").read_text())
        place = self.etc / "device"
        (folder / "mqtt.toml").write_text(
            f'# The device {name}\r\n[mqtt]\r\nurl = "mqtts://broker.lan:8883"\r\nroot = "headwater"\r\n'
            f'ca = "{place}/ca.pem"\r\ncert = "{place}/cert.pem"\r\nkey = "{place}/key.pem"\r\n'
        )
        return folder


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    script = program("take_headwater", monkeypatch)
    monkeypatch.setattr(script, "CHECK", (sys.executable, "-m", "gateway", "run", "--check"))
    monkeypatch.chdir(ROOT)
    yield Board(tmp_path, script)
    assert {path.name for path in (tmp_path / "etc").iterdir()} <= {"device.toml", "device"}, "something was left"


def test_a_card_with_nothing_on_it_names_the_device_after_the_board(board: Board) -> None:
    assert board.start() == 0
    assert board.config.read_text() == FIRST.replace('name = "headwater"', f'name = "{os.uname().nodename}"')
    board.config.write_text(FIRST.replace('name = "headwater"', 'name = "bbb1"'))
    board.start()
    assert board.read()["device"]["name"] == "bbb1", "somebody has named it"


def test_a_configuration_is_taken_once_for_each_change_on_the_card(board: Board) -> None:
    offered = FIRST.replace('"headwater"', '"bbb1"').replace("\n", "\r\n")
    (board.card / "device.toml").write_bytes(offered.encode())
    assert board.start() == 0
    assert board.config.read_text() == offered.replace("\r\n", "\n")
    board.config.write_text(FIRST.replace('"headwater"', '"changed later"'))
    board.start()
    assert board.read()["device"]["name"] == "changed later"
    (board.card / "device.toml").write_bytes(offered.replace("bbb1", "bbb2").encode())
    board.start()
    assert board.read()["device"]["name"] == "bbb2"


@pytest.mark.parametrize(
    ("offered", "why"),
    [
        (FIRST.replace("rate = 500", "rate = 500\nrat = 5"), "rat"),
        (FIRST + "[[", "not TOML"),
        ("", None),
    ],
)
def test_a_configuration_that_headwater_refuses_changes_nothing_and_the_card_says_why(
    board: Board, offered: str, why: str | None
) -> None:
    board.config.write_text(FIRST.replace('"headwater"', '"bbb1"'))
    before = board.config.read_text()
    (board.card / "device.toml").write_text(offered)
    assert board.start() == (1 if why else 0)
    assert board.config.read_text() == before
    assert (why or "") in board.note
    (board.card / "device.toml").write_text(before)
    assert board.start() == 0
    assert board.note == "", "what is put right is not complained of any more"


def test_certificates_are_taken_off_the_card_and_used(board: Board) -> None:
    offered = board.offer_certificates()
    key = (offered / "key.pem").read_bytes()
    assert board.start() == 0, board.note
    assert not offered.exists()
    placed = board.etc / "device" / "key.pem"
    assert placed.read_bytes() == key
    assert stat.S_IMODE(placed.stat().st_mode) == 0o640
    config = board.read()
    assert config["device"] == {"name": "bbb7", "board": "simulated"}
    assert config["mqtt"]["url"] == "mqtts://broker.lan:8883"
    assert config["mqtt"]["key"] == str(placed)
    assert config["stream"] == tomllib.loads(FIRST)["stream"]
    assert board.config.read_text().startswith("# with a comment of the package's: [mqtt]\n")


def test_a_configuration_and_certificates_are_taken_together(board: Board) -> None:
    board.offer_certificates()
    (board.card / "device.toml").write_text(
        FIRST.replace("rate = 500", "rate = 250").replace("[mqtt]\nurl", "[x]\nurl")
    )
    assert board.start() == 1, "what Headwater would refuse is refused with certificates too"
    (board.card / "device.toml").write_text(FIRST.replace("rate = 500", "rate = 250"))
    assert board.start() == 0, board.note
    config = board.read()
    assert config["mqtt"]["url"] == "mqtts://broker.lan:8883"
    assert config["device"]["name"] == "bbb7"
    assert "rate = 250" in board.config.read_text()


def test_half_a_folder_of_certificates_is_refused_with_what_is_missing(board: Board) -> None:
    offered = board.offer_certificates()
    (offered / "key.pem").unlink()
    assert board.start() == 1
    assert "no key.pem" in board.note
    assert offered.exists()
    assert "mqtt://127.0.0.1" in board.config.read_text()


def test_a_table_with_more_than_the_broker_is_refused(board: Board) -> None:
    offered = board.offer_certificates()
    (offered / "mqtt.toml").write_text('[mqtt]\nurl = "mqtts://x"\n[device]\nname = "other"\n')
    assert board.start() == 1
    assert "must hold the table [mqtt] and nothing else" in board.note
