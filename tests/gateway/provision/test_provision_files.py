"""Files that are there whole or not at all, wherever the writing is interrupted."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.provision.files import PUBLIC, SECRET, Content, clean_up, locked, remove, write, write_folder
from tests.support.interruption import interrupted
from tests.support.processes import RunningProcess

OLD = {"cert.pem": Content(b"old"), "key.pem": Content(b"old", SECRET)}
NEW = {"cert.pem": Content(b"new"), "key.pem": Content(b"new", SECRET), "in/deep/er": Content(b"new")}


def content(folder: Path) -> dict[str, bytes]:
    """Every file below it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def bytes_of(files: dict[str, Content]) -> dict[str, bytes]:
    return {name: one.bytes for name, one in files.items()}


def at_every_point(work: Callable[[Path], None], prepare: Callable[[Path], None], place: Path) -> list[Path]:
    """Do the work again and again, interrupted ever later; the folder of each attempt, the last one whole."""
    attempts: list[Path] = []
    while True:
        attempts.append(place / str(len(attempts)))
        attempts[-1].mkdir()
        prepare(attempts[-1])
        if not interrupted(lambda: work(attempts[-1]), len(attempts) - 1):
            assert len(attempts) > 5, "or else nothing was interrupted"
            return attempts


def test_a_folder_that_is_made_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    attempts = at_every_point(lambda at: write_folder(at / "a", NEW), lambda _: None, tmp_path)
    for at in attempts:
        clean_up(at)
        assert content(at) in ({}, {f"a/{name}": data for name, data in bytes_of(NEW).items()})
        assert {path.name for path in at.iterdir()} <= {"a"}
    assert content(attempts[-1])


def test_a_folder_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    attempts = at_every_point(
        lambda at: write_folder(at / "a", NEW), lambda at: write_folder(at / "a", OLD), tmp_path
    )
    seen = []
    for at in attempts:
        clean_up(at)
        assert {path.name for path in at.iterdir()} == {"a"}
        seen.append(content(at / "a"))
    assert seen[0] == bytes_of(OLD)
    assert seen[-1] == bytes_of(NEW)
    assert all(one in (bytes_of(OLD), bytes_of(NEW)) for one in seen)


def test_a_file_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    attempts = at_every_point(
        lambda at: write(at / "a", Content(b"new")), lambda at: write(at / "a", Content(b"old")), tmp_path
    )
    for at in attempts:
        assert (at / "a").read_bytes() in (b"old", b"new"), "also before anybody has cleaned up"
        clean_up(at)
        assert {path.name for path in at.iterdir()} == {"a"}
    assert (attempts[-1] / "a").read_bytes() == b"new"


def test_what_else_is_in_a_folder_stays_when_its_files_are_replaced(tmp_path: Path) -> None:
    notes = {**OLD, "notes.txt": Content(b"mine"), "more/notes.txt": Content(b"mine")}
    attempts = at_every_point(
        lambda at: write_folder(at / "a", NEW), lambda at: write_folder(at / "a", notes), tmp_path
    )
    for at in attempts:
        clean_up(at)
        found = content(at / "a")
        assert found["notes.txt"] == found["more/notes.txt"] == b"mine"
        assert found["key.pem"] == found["cert.pem"], "which belong together"
    assert content(attempts[-1] / "a") == {**bytes_of(notes), **bytes_of(NEW)}


def test_what_is_removed_takes_an_empty_folder_with_it(tmp_path: Path) -> None:
    for more, left in ({}, set()), ({"notes.txt": Content(b"mine")}, {"a/notes.txt"}):
        write_folder(tmp_path / "a", {**OLD, **more})
        remove(tmp_path / "a", ["nothing", *OLD])
        assert set(content(tmp_path)) == left
        assert (tmp_path / "a").exists() == bool(left)


def test_an_interruption_can_be_followed_by_another_attempt(tmp_path: Path) -> None:
    for calls in range(8):
        interrupted(lambda: write_folder(tmp_path / "a", OLD), calls)
        interrupted(lambda: write(tmp_path / "b", Content(b"old")), calls)
    write_folder(tmp_path / "a", NEW)
    write(tmp_path / "b", Content(b"new"))
    assert content(tmp_path / "a") == bytes_of(NEW)
    assert (tmp_path / "b").read_bytes() == b"new"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_folder(tmp_path / "a", OLD)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "a", *(tmp_path / "a").iterdir())}
    assert modes == {"a": 0o700, "cert.pem": PUBLIC, "key.pem": SECRET}


def test_a_secret_is_never_there_with_another_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    real = os.open

    def watched(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            opened.append(mode)
            assert flags & os.O_EXCL, "nor is an existing file written to, whoever put it there"
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", watched)
    write(tmp_path / "key.pem", Content(b"secret", SECRET))
    assert opened == [SECRET]


def test_what_root_writes_is_his_whose_folder_it_is(tmp_path: Path) -> None:
    """`sudo headwater provision` leaves nothing behind that its owner cannot read."""
    owner = 65534 if os.getuid() == 0 else os.getuid()
    os.chown(tmp_path, owner, -1)
    write_folder(tmp_path / "a", NEW)
    write(tmp_path / "b", Content(b"b", SECRET))
    assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {owner}


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.old").write_text("mine")
    (tmp_path / "readme.new").write_text("mine")
    (tmp_path / ".hidden").write_text("mine")
    clean_up(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


HOLD = """
import pathlib, sys, time
from gateway.provision.files import locked
print("at the door", flush=True)
with locked(pathlib.Path(sys.argv[1])):
    print(time.monotonic_ns(), flush=True)
"""


def test_two_who_work_in_a_folder_take_turns(tmp_path: Path) -> None:
    with ExitStack() as hold:
        hold.enter_context(locked(tmp_path))
        with RunningProcess([sys.executable, "-c", HOLD, str(tmp_path)]) as other:
            other.wait_for("at the door")
            left_ns = time.monotonic_ns()
            hold.close()
            assert other.wait() == 0, other
            assert int(other.out.split()[-1]) >= left_ns
