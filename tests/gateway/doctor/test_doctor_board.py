"""Machine, board and streams: what can be used is described, what cannot be says why."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.config import DeviceConfig, load_mapping
from gateway.doctor import Finding
from gateway.doctor.board import board_finding, board_name, boards_finding, check_streams, machine_finding
from gateway.doctor.machine import MODEL_PATH, Machine
from tests.gateway.doctor.standin import StandIn

ACME = Path(__file__).parents[2] / "boards" / "thirdparty" / "acme_thermometer.py"


def install(site: Path, board: str, value: str) -> None:
    """A distribution with a board of that name, as pip leaves it."""
    info = site / f"{board}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {board}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[headwater.boards]\n{board} = {value}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the path, with ACME's board."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    shutil.copy(ACME, folder)
    install(folder, "acme", "acme_thermometer:AcmeThermometer")
    return folder


class TestMachine:
    def test_its_model_is_told(self, tmp_path: Path) -> None:
        there = StandIn(tmp_path)
        assert "no device tree" in machine_finding("simulated", there.machine).found
        there.write(MODEL_PATH, b"TI AM335x BeagleBone Black\0")
        finding = machine_finding("simulated", there.machine)
        assert (finding.ok, finding.found) == (True, "TI AM335x BeagleBone Black")

    def test_auto_is_made_out_by_the_model(self, site: Path, tmp_path: Path) -> None:
        there = StandIn(tmp_path / "machine")
        there.write(MODEL_PATH, b"ACME Thermometer rev. B\0")
        assert "so the board is 'acme'" in machine_finding("auto", there.machine).found
        assert board_name("auto", there.machine) == "acme"

    def test_auto_on_a_machine_that_no_board_knows_says_what_to_write(self, tmp_path: Path) -> None:
        there = StandIn(tmp_path)
        there.write(MODEL_PATH, b"Toaster 3000\0")
        finding = machine_finding("auto", there.machine)
        assert finding.found == "Toaster 3000"
        assert "say which board: simulated" in (finding.todo or "")
        assert board_name("auto", there.machine) is None
        assert board_name("simulated", there.machine) == "simulated"


class TestBoard:
    def test_a_board_that_is_there_is_described(self) -> None:
        finding = board_finding("simulated")
        assert finding.ok
        assert "simulated signals" in finding.found

    def test_a_name_that_is_no_board_is_answered_with_those_there_are(self) -> None:
        finding = board_finding("simulate")
        assert "did you mean 'simulated'" in (finding.todo or "")

    def test_a_board_whose_library_is_missing_says_so(self, site: Path) -> None:
        install(site, "lame", "no_such_module:Board")
        assert "No module named 'no_such_module'" in (board_finding("lame").todo or "")

    def test_a_board_that_is_not_available_says_why(self, site: Path) -> None:
        (site / "away.py").write_text(
            "from acme_thermometer import AcmeThermometer\n"
            "class Away(AcmeThermometer):\n"
            "    @classmethod\n"
            "    def availability(cls): return 'plug it in'\n"
        )
        install(site, "away", "away:Away")
        finding = board_finding("away")
        assert (finding.ok, finding.todo) == (False, "plug it in")

    def test_a_board_that_raises_whatever_it_likes_is_told_of(self, site: Path) -> None:
        (site / "mad.py").write_text(
            "from acme_thermometer import AcmeThermometer\n"
            "class Mad(AcmeThermometer):\n"
            "    @classmethod\n"
            "    def availability(cls): return 1 / 0\n"
            "    def check(self, request): return 1 / 0\n"
        )
        install(site, "mad", "mad:Mad")
        assert "ZeroDivisionError" in (board_finding("mad").todo or "")
        stream, _ = findings(device(board="mad"))
        assert "ZeroDivisionError" in (stream.todo or "")

    def test_those_that_can_be_used_are_listed(self, site: Path) -> None:
        finding = boards_finding()
        assert finding.ok
        assert "simulated" in finding.found
        assert "acme" in finding.found


def device(board: str = "simulated", **ecg: Any) -> DeviceConfig:
    """A configuration with the stream `ecg` as given, and a harmless one after it."""
    channel = {"name": "a", "input": "P9_39"}
    first = {"name": "ecg", "rate": 500, "channel": [channel], **ecg}
    second = {"name": "slow", "rate": 1, "channel": [channel]}
    return load_mapping(DeviceConfig, {"device": {"board": board}, "stream": [first, second]}, "test")


def findings(config: DeviceConfig) -> list[Finding]:
    return [stream.finding for stream in check_streams(config)]


class TestStreams:
    def test_accepted_streams_are_described(self) -> None:
        first, second = findings(device())
        assert first.ok
        assert "ecg: a (P9_39) at 500 Hz" in first.found
        assert second.ok

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"rate": 200_001}, "at 200000 Hz at most"),
            ({"channel": [{"name": "a", "input": "P9_99"}]}, "no input 'P9_99'"),
            ({"channel": [{"name": "a", "input": "P9_39", "options": {"signal": "egg"}}]}, "egg"),
        ],
    )
    def test_what_the_board_refuses_is_told_and_does_not_hide_the_others(
        self, wrong: dict[str, Any], says: str
    ) -> None:
        first, second = findings(device(**wrong))
        assert first.found == "'ecg' is refused"
        assert says in (first.todo or "")
        assert second.ok


def test_this_machine_is_looked_at_by_default() -> None:
    assert Machine().text("/proc/self/stat") is not None
