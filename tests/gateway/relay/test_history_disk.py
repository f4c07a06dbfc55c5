"""The history on disk: the same answers, after any end and any damage, and never more bytes than it may take."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec import CODECS
from gateway.model import Batch, Gap
from gateway.relay.history import DiskTier, Excerpt, HistoryLimits, HistoryRecord, HistoryStore, StreamHistory
from gateway.relay.history.store import folder_name
from tests.gateway.relay.historic import check_all_queries, ecg, got, lost, streams

NO_MEMORY = HistoryLimits(memory_bytes=0)
SOME_MEMORY = HistoryLimits(memory_ns=1 << 62, memory_bytes=3000)


def opened(directory: Path, limits: HistoryLimits = NO_MEMORY, bound: int = 1 << 30) -> StreamHistory:
    return StreamHistory(limits, DiskTier(directory, bound, 4096))


def disk_of(history: StreamHistory) -> DiskTier:
    assert isinstance(history.disk, DiskTier)
    return history.disk


def bytes_in(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.segment"))


def leave(history: StreamHistory, how: str) -> None:
    """End it properly, or not at all, as a killed process does."""
    if how == "closed":
        disk_of(history).close()


@settings(max_examples=120, deadline=None)
@given(streams(), st.sampled_from([NO_MEMORY, SOME_MEMORY]), st.booleans(), st.data())
def test_every_query_finds_what_a_search_of_everything_finds(
    records: list[HistoryRecord], limits: HistoryLimits, again: bool, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = StreamHistory(limits, DiskTier(Path(folder), 1 << 30, data.draw(st.integers(300, 5000))))
        for record in records:
            history.add(record)
        if again:
            history = opened(Path(folder), limits)
        check_all_queries(history, records, data)
        disk_of(history).close()


@pytest.mark.parametrize("how", ["closed", "left"])
def test_what_was_kept_is_there_after_a_restart_and_can_be_resumed(tmp_path: Path, how: str) -> None:
    history = opened(tmp_path)
    records = [ecg(index) if index % 500 else lost(index, 50) for index in range(0, 5000, 50)]
    for record in records[:-20:2] + records[1:-20:2] + records[-20:]:
        history.add(record)
    history.end_epoch(1, 5000, 7)
    leave(history, how)
    history = opened(tmp_path)
    assert [e.record.payload for e in history.from_index(0, 0)] == [record.payload for record in records]
    history.add(ecg(0, epoch=7))
    assert history.resume(1, 0).recovered
    assert history.holes() == {}
    assert history.covered(1).as_list() == [[0, 5000]]
    assert history.add(ecg(2000)) == [], "what is there on disk is not taken twice"


@pytest.mark.parametrize("how", ["closed", "left"])
def test_the_disk_is_bounded_in_bytes(tmp_path: Path, how: str) -> None:
    bound = 40_000
    history = opened(tmp_path, bound=bound)
    for index in range(0, 60_000, 50):
        history.add(ecg(index))
        assert bytes_in(tmp_path) <= disk_of(history).bytes <= bound
    leave(history, how)
    history = opened(tmp_path, bound=bound)
    assert bound // 2 <= bytes_in(tmp_path) <= bound
    kept = got(history.from_index(0, 0))
    assert kept == [(1, index) for index in range(kept[0][1], 60_000)]
    assert history.holes() == {}, "what gave way is no hole"
    assert not history.resume(1, kept[0][1] - 1).recovered
    assert history.resume(1, kept[0][1]).recovered
    smaller = opened(tmp_path, bound=bound // 2)
    assert bytes_in(tmp_path) <= bound // 2
    assert got(smaller.last(1)) == [(1, 59_999)]


def test_a_record_larger_than_the_disk_may_be_is_counted_and_not_written(tmp_path: Path) -> None:
    history = opened(tmp_path, bound=2000)
    history.add(ecg(0, 5000))
    assert disk_of(history).faults.unwritten == 1
    assert bytes_in(tmp_path) == 0


def test_a_query_goes_on_when_what_it_reads_gives_way(tmp_path: Path) -> None:
    history = opened(tmp_path)
    for index in range(0, 10_000, 50):
        history.add(ecg(index))
    reading = history.from_index(0, 0)
    first = next(reading)
    disk_of(history).drop_oldest()
    rest = got(reading)
    assert first.start == 0
    assert rest[-1] == (1, 9999)
    assert rest[0][1] > 50
    assert disk_of(history).faults.damaged == 0


# Damage


def change(content: bytearray, choose: random.Random) -> None:
    """A few bytes are other ones."""
    at = choose.randrange(len(content))
    for place in range(at, min(at + choose.choice([1, 16, 300]), len(content))):
        content[place] ^= choose.randrange(1, 256)


def cut(content: bytearray, choose: random.Random) -> None:
    """The end is missing."""
    del content[choose.randrange(len(content)) :]


def blank(content: bytearray, choose: random.Random) -> None:
    """A block is zeros, as file systems leave it."""
    at = choose.randrange(len(content))
    end = min(at + 512, len(content))
    content[at:end] = bytes(end - at)


@pytest.mark.parametrize("how", ["closed", "left"])
@pytest.mark.parametrize("damage", [change, cut, blank])
def test_damage_at_any_place_costs_what_it_hit_and_is_never_handed_out(
    tmp_path: Path, how: str, damage: Callable[[bytearray, random.Random], None]
) -> None:
    whole = tmp_path / "whole"
    history = opened(whole)
    records = {index: ecg(index) for index in range(0, 2000, 50)}
    for record in records.values():
        history.add(record)
    leave(history, how)
    choose, kept, told = random.Random(20261121), 0, 0
    for number in range(60):
        directory = tmp_path / str(number)
        shutil.copytree(whole, directory)
        victim = choose.choice(sorted(directory.glob("*.segment")))
        content = bytearray(victim.read_bytes())
        damage(content, choose)
        victim.write_bytes(content)
        history = opened(directory)
        for excerpt in history.from_index(0, 0):
            message = excerpt.record.message()
            if isinstance(message, Gap):
                assert message.reason == "undecodable"
                told += message.count
            else:
                assert excerpt.record.payload == records[message.index].payload
                kept += 1
        history.add(ecg(2000))
        assert got(history.last(1)) == [(1, 2049)], "it goes on"
        disk_of(history).close()
        shutil.rmtree(directory)
    assert kept >= 60 * len(records) * 0.8, "most of what is sound is there"
    assert told > 0 or damage is not change, "what an index speaks of and cannot be read is declared lost"


def test_a_corrupt_record_in_the_middle_is_a_hole_and_is_counted(tmp_path: Path) -> None:
    history = opened(tmp_path)
    for index in range(0, 500, 50):
        history.add(ecg(index))
    (path,) = tmp_path.glob("*.segment")
    content = bytearray(path.read_bytes())
    at = content.index(ecg(200).payload)
    content[at + 20] ^= 1
    path.write_bytes(content)
    history = opened(tmp_path)
    assert history.holes() == {1: [(200, 250)]}
    assert disk_of(history).faults.damaged == 1
    assert not history.resume(1, 0).recovered
    assert history.add(ecg(200)) == [(200, 250)], "the device may send it again"
    assert history.resume(1, 0).recovered


def test_a_record_that_changed_after_opening_comes_out_as_lost(tmp_path: Path) -> None:
    history = opened(tmp_path)
    history.add(ecg(0))
    (path,) = tmp_path.glob("*.segment")
    content = bytearray(path.read_bytes())
    content[content.index(ecg(0).payload) + 30] ^= 1
    path.write_bytes(content)
    (excerpt,) = history.from_index(0, 0)
    assert excerpt.record.message() == Gap(1, 0, 50, "undecodable")
    assert disk_of(history).faults.damaged == 1


def test_a_damaged_state_is_not_fatal(tmp_path: Path) -> None:
    opened(tmp_path).add(ecg(0))
    (tmp_path / "state.json").write_text('{"floor": 7, "ends": [[]]}')
    assert len(got(opened(tmp_path).from_index(0, 0))) == 50


# kill -9


@pytest.mark.timeout(120)
def test_what_was_kept_survives_any_kill(tmp_path: Path) -> None:
    choose, begin = random.Random(7), 0
    for _ in range(8):
        command = [sys.executable, "-m", "tests.gateway.relay.history_child", str(tmp_path), str(begin)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(choose.randrange(1, 800))]
            child.kill()
            lines += child.stdout.readlines()
        reached = begin + 50 * len(lines)
        assert lines[-1] == f"kept {reached - 50}\n".encode()
        history = opened(tmp_path)
        message = check_frames(history.from_index(0, 0), reached)
        assert disk_of(history).faults.damaged == 0, "a record that was cut off is no damage"
        disk_of(history).close()
        begin = message


def check_frames(excerpts: Iterable[Excerpt], reached: int) -> int:
    """Every frame up to what was said to be kept is there, with its value; returns where they end."""
    index = 0
    for excerpt in excerpts:
        message = excerpt.record.message()
        assert isinstance(message, Batch)
        assert message.index == index
        assert excerpt.record.payload == ecg(index).payload
        index = message.end
    assert index >= reached
    return index


# All streams


def fill(store: HistoryStore, stream: str, start: int, end: int) -> None:
    for index in range(start, end, 50):
        record = ecg(index)
        store.add(stream, record)


def test_all_streams_together_are_bounded_and_the_largest_gives_way(tmp_path: Path) -> None:
    limits = HistoryLimits(1 << 62, memory_bytes=100_000, disk_bytes=400_000)
    store = HistoryStore(tmp_path, limits)
    fill(store, "bbb1/small", 0, 1000)
    for index in range(0, 100_000, 1000):
        fill(store, "bbb1/large", index, index + 1000)
        fill(store, "bbb2/large", index, index + 1000)
        assert store.memory_bytes <= limits.memory_bytes
        assert sum(bytes_in(folder) for folder in tmp_path.iterdir()) <= store.disk_bytes <= limits.disk_bytes
    assert len(got(store.of("bbb1/small").from_index(0, 0))) == 1000
    store.close()
    again = HistoryStore(tmp_path, limits)
    assert again.streams == ["bbb1/large", "bbb1/small", "bbb2/large"]
    assert got(again.of("bbb2/large").last(1)) == [(1, 99_999)]
    assert again.disk_bytes >= limits.disk_bytes // 3


def test_without_a_directory_it_is_in_memory_alone() -> None:
    store = HistoryStore()
    fill(store, "bbb1/ecg", 0, 1000)
    assert len(got(store.of("bbb1/ecg").from_index(0, 0))) == 1000
    assert store.disk_bytes == 0


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_name_leads_out_of_the_directory_and_no_two_meet(one: str, other: str) -> None:
    one, other = f"a/{one}", f"a/{other}"
    for name in (one, other):
        if name.isprintable():
            folder = folder_name(name)
            assert Path(folder).name == folder
            assert not folder.startswith(".")
            assert len(folder.encode()) <= 255
    assert one == other or folder_name(one) != folder_name(other)


def test_a_directory_that_cannot_be_written_leaves_the_memory(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    (tmp_path / folder_name("bbb1/ecg")).write_text("in the way")
    fill(store, "bbb1/ecg", 0, 100)
    assert len(got(store.of("bbb1/ecg").from_index(0, 0))) == 100
    assert store.disk("bbb1/ecg") is None


def test_a_gap_is_kept_with_its_reason(tmp_path: Path) -> None:
    history, gap = opened(tmp_path), Gap(1, 0, 10, "unplugged")
    history.add(history.record_of(gap, CODECS["cbor"].encode(gap), 5))
    (excerpt,) = opened(tmp_path).from_index(0, 0)
    assert excerpt.record.message() == gap
    assert excerpt.record.utc_ns == 5
