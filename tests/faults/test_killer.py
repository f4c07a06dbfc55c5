"""The killer kills what it started, as its seed says, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.faults.killer import Killer

SLEEP = "import time; print('up', flush=True); time.sleep(600)"


def start(program: str = SLEEP) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_kills_and_restarts_as_often_as_asked() -> None:
    bystander = start()
    with Killer(start, seed=1, alive_s=(0.0, 0.01), dead_s=(0.0, 0.01)) as killer:
        killer.run(times=5)
        killer.join()
        assert len(killer.kills) == 5
        assert len({kill.pid for kill in killer.kills} | {killer.process.pid}) == 6
        assert all(kill.returncode == -signal.SIGKILL for kill in killer.kills)
        assert not any(is_alive(kill.pid) for kill in killer.kills)
        assert killer.process.poll() is None
    assert killer.process.poll() is not None
    assert bystander.poll() is None
    with bystander:
        bystander.kill()


def test_a_seed_repeats_itself() -> None:
    def signals(seed: int) -> list[signal.Signals]:
        both = (signal.SIGKILL, signal.SIGTERM)
        with Killer(start, seed=seed, signals=both, alive_s=(0.0, 0.0), dead_s=(0.0, 0.0)) as killer:
            killer.run(times=6)
            killer.join()
            return [kill.signal for kill in killer.kills]

    assert signals(3) == signals(3)
    assert set(signals(3)) == {signal.SIGKILL, signal.SIGTERM}


def test_it_stops_when_told() -> None:
    with Killer(start, seed=2, alive_s=(600.0, 600.0)) as killer:
        killer.run()
        killer.stop()
        assert killer.kills == []
        assert killer.process.poll() is None
