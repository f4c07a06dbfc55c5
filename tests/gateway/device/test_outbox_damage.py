"""A file whose bytes changed, were cut off or never were ours: the outbox opens, says so, and goes on."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.account import IntervalSet
from gateway.device.outbox import OutboxSettings, encode_gap
from gateway.device.outbox.disk import PAGE_BYTES, DiskTier, Room, Work
from gateway.device.outbox.faults import DiskDamaged
from gateway.device.outbox.memory import Entry
from tests.gateway.device.outboxes import FRAMES, Bench, batch, settings_for

RECORDS = 60


@pytest.fixture
def fast_tmp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in memory, if there is one: fsync costs nothing there."""
    memory = Path("/dev/shm")
    directory = (memory if memory.is_dir() else tmp_path_factory.mktemp("outbox")) / "headwater-damage"
    directory.mkdir(exist_ok=True)
    yield directory
    shutil.rmtree(directory)


def written(directory: Path, *, logged: bool) -> list[Path]:
    """The files of an outbox with RECORDS records; those of a device that lost power have a log."""
    box = Bench(settings_for(directory / "whole"))
    for number in range(RECORDS):
        box.outbox.put(batch(number))
        if number % 20 == 0:
            box.wait(1.0)
    box.wait(1.0)
    shutil.copytree(directory / "whole", directory / "powerless")
    box.outbox.close()
    return sorted((directory / ("powerless" if logged else "whole")).iterdir())


def check_that_it_goes_on(directory: Path) -> Bench:
    """Nothing that comes out is wrong, nothing comes twice, and what is put now arrives."""
    box = Bench(settings_for(directory))
    box.outbox.put(batch(0, epoch=2))
    box.drain()
    box.outbox.put(batch(1, epoch=2))
    box.drain()
    assert box.account.of("ecg", 2).delivered == 2 * FRAMES
    account = box.account.of("ecg", 1)
    assert account.duplicates == 0
    previous = [known for known in box.outbox.previous(0) or [] if known.epoch == 1]
    told = sum(end - start for known in previous for start, end in known.backlog)
    assert account.delivered == told, "the birth message tells what is left of the backlog"
    box.outbox.close()
    return box


@pytest.mark.parametrize("logged", [False, True], ids=["closed", "powerless"])
def test_a_byte_changed_at_any_of_a_thousand_places(fast_tmp: Path, logged: bool) -> None:
    files = {file.name: file.read_bytes() for file in written(fast_tmp, logged=logged)}
    chooser = random.Random(20261121)
    found_out = lost = 0
    for number in range(500):
        directory = fast_tmp / str(number)
        directory.mkdir()
        damaged = chooser.choice(sorted(files))
        for name, content in files.items():
            changed = bytearray(content)
            if name == damaged:
                at = chooser.randrange(len(content))
                for place in range(at, min(at + chooser.choice([1, 16, 512]), len(content))):
                    changed[place] ^= chooser.randrange(1, 256)
            (directory / name).write_bytes(changed)
        box = check_that_it_goes_on(directory)
        found_out += "outbox_corrupt" in box.names
        lost += RECORDS * FRAMES - box.account.of("ecg", 1).delivered
        shutil.rmtree(directory)
    assert found_out > 100
    assert lost < 500 * RECORDS * FRAMES // 3, "most of what is sound is saved"


@pytest.mark.parametrize("logged", [False, True], ids=["closed", "powerless"])
def test_cut_off_anywhere(fast_tmp: Path, logged: bool) -> None:
    files = {file.name: file.read_bytes() for file in written(fast_tmp, logged=logged)}
    chooser = random.Random(7)
    for number in range(60):
        directory = fast_tmp / str(number)
        directory.mkdir()
        cut = chooser.choice(sorted(files))
        for name, content in files.items():
            (directory / name).write_bytes(content[: chooser.randrange(len(content))] if name == cut else content)
        check_that_it_goes_on(directory)
        shutil.rmtree(directory)


@pytest.mark.parametrize("content", [b"", b"not a database", bytes(8192), random.Random(1).randbytes(20_000)])
def test_a_file_that_was_never_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "outbox.db").write_bytes(content)
    box = check_that_it_goes_on(tmp_path)
    assert ("outbox_corrupt" in box.names) == bool(content)


def test_a_file_of_another_version_is_set_aside(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    box = check_that_it_goes_on(tmp_path)
    assert "version 99" in dict(box.events)["outbox_corrupt"]["why"]


def test_what_was_set_aside_is_kept_but_not_for_ever(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / "outbox.db").write_bytes(b"damage %d" % number)
        box = Bench(settings_for(tmp_path))
        box.outbox.step()
        aside = Path(dict(box.events)["outbox_corrupt"]["file"])
        assert aside.read_bytes() == b"damage %d" % number
        box.outbox.close()
    assert len(list(tmp_path.glob("outbox.db.corrupt-*"))) == 2


def opened(directory: Path) -> Bench:
    """An outbox on what is there."""
    box = Bench(settings_for(directory))
    box.outbox.step()
    return box


def test_a_row_that_vanished_without_a_trace_is_damage(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path / "outbox.db", limit=1 << 20, encode_gap=encode_gap)
    entries = [Entry(number, batch(number), 0) for number in range(5)]
    tier.write(Work(entries, [], Room(True, IntervalSet(), IntervalSet(), 0, 0), {}))
    assert [row.record for row in tier.read((1, 6), 1 << 20)] == [batch(number) for number in range(5)]
    for absent in ((1, 7), (0, 6)):
        with pytest.raises(DiskDamaged, match="is gone"):
            tier.read(absent, 1 << 20)
    tier.close()


def test_damage_while_it_runs_is_declared_frame_by_frame(tmp_path: Path) -> None:
    """More than the page cache holds is on disk; then the card loses pages in the middle."""
    settings = OutboxSettings(directory=tmp_path, max_bytes=16 << 20, retry_s=0.5)
    earlier = Bench(settings)
    earlier.outbox.put(batch(0, epoch=0))
    earlier.drain()
    earlier.outbox.close()
    box = Bench(settings)
    total = 6000
    for number in range(total):
        box.outbox.put(batch(number, size=1000))
        if number % 500 == 0:
            box.wait(1.0)
    box.wait(1.0)
    box.wait(20.0)
    file = tmp_path / "outbox.db"
    with file.open("r+b") as card:
        for page in range(400, 2400, 14):
            card.seek(page * PAGE_BYTES)
            card.write(bytes(PAGE_BYTES))
    box.outbox.put(batch(total, size=1000))
    box.drain()
    assert "outbox_corrupt" in box.names
    account = box.account.of("ecg", 1)
    assert account.lost["crash"].count == dict(box.events)["outbox_corrupt"]["lost_frames"] > 0
    assert account.delivered > 1000 * FRAMES
    assert account.undeclared((total + 1) * FRAMES) == 0
    assert account.duplicates == 0
    assert box.outbox.counters().dropped["crash"] == account.lost["crash"].count
    box.outbox.close()
    previous = opened(tmp_path).outbox.previous(0)
    assert previous is not None
    assert [(known.epoch, known.reached) for known in previous] == [(0, FRAMES), (1, (total + 1) * FRAMES)]
