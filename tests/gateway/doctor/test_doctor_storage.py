"""State directory and room on the disk."""

from __future__ import annotations

from pathlib import Path

from gateway.doctor.storage import room_finding, state_finding
from tests.gateway.doctor.standin import as_ordinary_user

HUGE = 1 << 60


def test_a_directory_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    assert state_finding(tmp_path).ok
    assert not list(tmp_path.iterdir())


def test_a_directory_that_can_be_made_is_not_made(tmp_path: Path) -> None:
    finding = state_finding(tmp_path / "headwater" / "bbb1")
    assert finding.ok
    assert "will be made" in finding.found
    assert not list(tmp_path.iterdir())


def test_a_directory_of_somebody_else_is_told_of(open_folder: Path) -> None:
    state = open_folder / "state"
    state.mkdir(mode=0o555)
    with as_ordinary_user():
        finding = state_finding(state)
    assert "cannot be written (Permission denied)" in finding.found
    assert str(state) in (finding.todo or "")


def test_a_directory_that_cannot_be_made_is_told_of(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with as_ordinary_user():
        finding = state_finding(open_folder / "headwater" / "bbb1")
    assert f"cannot be made in {open_folder}" in finding.found
    assert not finding.ok


def test_a_file_in_the_way_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert not state_finding(tmp_path / "state").ok
    assert not state_finding(tmp_path / "state" / "below").ok


def test_room_for_the_bound_is_enough(tmp_path: Path) -> None:
    finding = room_finding("disk", tmp_path / "not" / "there", 1 << 20, "outbox.max_bytes")
    assert finding.ok
    assert str(tmp_path) in finding.found


def test_a_bound_that_exceeds_the_disk_is_told_of_with_its_key(tmp_path: Path) -> None:
    finding = room_finding("history", tmp_path, HUGE, "history.disk")
    assert finding.check == "history"
    assert "lower history.disk" in (finding.todo or "")


def test_what_lies_there_already_counts_towards_the_bound(tmp_path: Path) -> None:
    with (tmp_path / "outbox.db").open("wb") as file:
        file.truncate(8 << 40)  # sparse: it takes no room
    assert room_finding("disk", tmp_path, (8 << 40) + 1, "outbox.max_bytes").ok
