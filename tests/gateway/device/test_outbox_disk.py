"""A disk that is full, read-only, locked or broken: sampling goes on, losses are declared, and it recovers."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.device.outbox import OutboxSettings
from tests.gateway.device.disk_scenarios import SCENARIOS, UNMOUNTABLE
from tests.gateway.device.outboxes import FRAMES, Bench, batch, settings_for

UNSHARE = ("unshare", "--mount", "--propagation", "private")


def may_mount() -> bool:
    """Whether this process may have a mount namespace of its own."""
    return (
        os.geteuid() == 0 and subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not may_mount(), reason="needs root and mount namespaces")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_disk_that_is(tmp_path: Path, scenario: str) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    command = [*UNSHARE, sys.executable, "-m", "tests.gateway.device.disk_scenarios", scenario, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode == UNMOUNTABLE:
        pytest.skip("this machine cannot mount what the scenario needs")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """No file may grow beyond 200 KiB: a write past it fails with EFBIG, which SQLite calls an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200 << 10, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_errors_are_no_reason_to_stop(tmp_path: Path, file_size_limit: None) -> None:
    settings = OutboxSettings(directory=tmp_path, max_bytes=8 << 20, memory_bytes=256 << 10, retry_s=0.5)
    box = Bench(settings)
    for number in range(2000):
        box.outbox.put(batch(number))
        if number % 50 == 0:
            box.wait(1.0)
    assert box.names[0] == "outbox_degraded"
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    )
    box.wait(20.0)
    assert box.names[-1] == "outbox_recovered"
    box.drain()
    account = box.account.of("ecg", 1)
    assert (account.undeclared(2000 * FRAMES), account.duplicates) == (0, 0)


def test_a_file_that_another_process_holds_is_left_to_it_until_it_is_free(tmp_path: Path) -> None:
    """To rename it would pull it away below the other one, and its log with it."""
    other = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE theirs(x)")
    box = Bench(settings_for(tmp_path))
    box.outbox.put(batch(0))
    box.wait(1.0)
    assert box.names == ["outbox_degraded"]
    assert "locked" in box.events[0][1]["why"]
    box.outbox.connected()
    (sending,) = box.send()
    box.arrive(sending)
    other.execute("ROLLBACK")
    other.close()
    box.outbox.release_all()
    box.outbox.put(batch(1))
    box.wait(20.0)
    assert box.names == ["outbox_degraded", "outbox_recovered"]
    assert box.committed == [batch(1)]
    box.outbox.close()


def test_in_always_a_disk_that_cannot_be_written_does_not_stop_live_data(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    box = Bench(settings_for(tmp_path / "state", durability="always"))
    box.outbox.connected()
    box.outbox.put(batch(0))
    assert box.outbox.take() is None
    box.wait(1.0)
    assert box.names == ["outbox_degraded"]
    assert [sending.record for sending in box.send()] == [batch(0)]
