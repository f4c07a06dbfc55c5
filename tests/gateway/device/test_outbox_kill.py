"""`kill -9` at random moments in `always`: what counted as acquired is there after the restart."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.account import IntervalSet
from gateway.device.outbox import OutboxSettings
from tests.faults.killer import Killer
from tests.gateway.device.outboxes import FRAMES, Bench

KILLS = int(os.environ.get("HEADWATER_KILLS", "15"))
"""`make soak` asks for 200."""


@pytest.mark.timeout(60 + KILLS * 5)
def test_what_was_committed_survives_any_kill(tmp_path: Path) -> None:
    choose = random.Random(41)
    for epoch in range(1, KILLS + 1):

        def start(epoch: int = epoch) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "tests.gateway.device.outbox_child", str(tmp_path), str(epoch)]
            child = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert child.stdout is not None
            assert child.stdout.readline() == b"up\n"
            return child

        with Killer(start, seed=epoch) as killer:
            lines: list[bytes] = []
            assert killer.process.stdout is not None
            wanted = choose.randrange(1, 600)
            while len(lines) < wanted:
                lines.append(killer.process.stdout.readline())
            killer.kill()
            lines += killer.process.stdout.readlines()
        said = {b"committed": IntervalSet(), b"arrived": IntervalSet()}
        for line in lines:
            word, index, count = line.split()
            said[word].add(int(index), int(index) + int(count))
        check(tmp_path, epoch, said[b"committed"], said[b"arrived"])


def check(directory: Path, epoch: int, committed: IntervalSet, arrived: IntervalSet) -> None:
    """Each committed frame arrived before the kill, or arrives now; the birth message tells which."""
    box = Bench(OutboxSettings(directory=directory, durability="always"))
    box.outbox.step()
    assert box.names == []
    *_, known = box.outbox.previous(0) or []
    assert known.epoch == epoch
    assert known.reached >= committed.end
    still_to_come = IntervalSet(known.backlog)
    for part in committed:
        for missing in arrived.holes(*part):
            assert still_to_come.covers(*missing)
    box.drain()
    assert box.account.of("ecg", epoch).delivered == still_to_come.count
    account = box.account.of("ecg", epoch)
    for part in arrived:
        account.deliver(*part)
    lost = account.end_epoch(known.reached, known.backlog)
    assert account.undeclared(known.reached) == 0
    assert all(not committed.overlap(*part) for part in lost)
    assert known.reached % FRAMES == 0
    box.outbox.close()
