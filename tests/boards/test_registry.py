"""Boards are found by name, by plug-in and by the machine's model, and none of them hides the others."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from boards.base import Board, Channel, SourceRequest
from boards.errors import BoardUnavailable
from boards.registry import board_names, detect_board, list_boards, load_board
from boards.simulated import SimulatedBoard
from tests.boards.contract import SourceContract

THIRD_PARTY = Path(__file__).parent / "thirdparty" / "acme_thermometer.py"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path in which distributions are as pip installs them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, distribution: str, board: str, value: str) -> None:
    """What an installer writes of a distribution that brings one board."""
    info = site / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[headwater.boards]\n{board} = {value}\n")


@pytest.fixture
def acme(site: Path) -> Path:
    shutil.copy(THIRD_PARTY, site)
    install(site, "acme-thermometer", "acme", "acme_thermometer:AcmeThermometer")
    return site


class TestABoardBySomebodyElseKeepsTheContract(SourceContract):
    @pytest.fixture(autouse=True)
    def _installed(self, acme: Path) -> None: ...

    def make_board(self) -> Board:
        return load_board("acme")()

    def make_request(self) -> SourceRequest:
        return SourceRequest((Channel("a", "inside"), Channel("b", "T2")), Fraction(200), 10)


def test_a_plug_in_is_listed_with_its_distribution(acme: Path) -> None:
    entry = next(entry for entry in list_boards() if entry.name == "acme")
    assert entry.origin == "acme-thermometer"
    assert entry.unavailable is None
    assert entry.board is not None
    assert entry.board.summary == "ACME's thermometer with two sensors"


def test_the_simulated_board_is_always_there() -> None:
    entry = next(entry for entry in list_boards() if entry.name == "simulated")
    assert (entry.board, entry.unavailable, entry.origin) == (SimulatedBoard, None, "headwater")


def test_every_board_of_ours_can_be_loaded_and_has_a_summary() -> None:
    for entry in list_boards():
        assert entry.board is not None, entry.unavailable
        assert entry.board.name == entry.name
        assert entry.board.summary


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        BoardUnavailable, match=r"no board 'simulate'; there are simulated.*did you mean 'simulated'"
    ):
        load_board("simulate")


def test_a_plug_in_that_fails_to_load_is_listed_with_the_reason_and_hides_nothing(site: Path) -> None:
    (site / "broken_board.py").write_text("raise RuntimeError('no such bus')\n")
    install(site, "broken", "broken", "broken_board:Broken")
    entries = {entry.name: entry for entry in list_boards()}
    assert entries["broken"].board is None
    assert "no such bus" in (entries["broken"].unavailable or "")
    assert entries["simulated"].unavailable is None
    with pytest.raises(BoardUnavailable, match=r"'broken' of broken_board:Broken cannot be loaded: no such bus"):
        load_board("broken")


def test_a_plug_in_that_is_no_board_is_refused(site: Path) -> None:
    (site / "odd_board.py").write_text("Odd = 5\n")
    install(site, "odd", "odd", "odd_board:Odd")
    with pytest.raises(BoardUnavailable, match=r"'odd' of odd_board:Odd is not a subclass of boards.Board but 5"):
        load_board("odd")


def test_a_plug_in_cannot_take_the_name_of_a_board_of_ours(acme: Path) -> None:
    install(acme, "cuckoo", "simulated", "acme_thermometer:AcmeThermometer")
    assert load_board("simulated") is SimulatedBoard
    assert board_names().count("simulated") == 1


def test_auto_is_the_board_whose_model_the_device_tree_names(acme: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"ACME Thermometer rev. B\0")
    assert detect_board(model) == "acme"
    assert load_board("auto", model).summary == "ACME's thermometer with two sensors"


def test_auto_on_an_unknown_machine_says_what_it_found_and_what_there_is(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"Toaster 3000\0")
    with pytest.raises(BoardUnavailable, match=r"knows no board for 'Toaster 3000' .*say which board: simulated"):
        load_board("auto", model)


def test_auto_without_a_device_tree_says_so(tmp_path: Path) -> None:
    with pytest.raises(BoardUnavailable, match=r"model cannot be read \(No such file.*say which board: simulated"):
        load_board("auto", tmp_path / "model")
