"""What the benchmarks of a device stand on: a recording, a broker, a configuration, processes and their cost."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from boards import Channel, SourceRequest
from boards.simulated import SimulatedBoard
from tests.bench.peers.playback import Frames
from tests.bench.report import RESULTS
from tests.support.mosquitto import Mosquitto
from tests.support.processes import RunningProcess, clean_environment
from tests.support.waiting import wait_until

CHANNELS = 8
RECORDED_S = 10
END_S = 60.0
"""How long a process may take to end after its time is up."""

PINS = ("P9_39", "P9_40", "P9_37", "P9_38", "P9_33", "P9_36", "P9_35", "AIN7")


def record(path: Path, rate: int) -> Path:
    """Some seconds of the simulated board's signals, as .npy."""
    channels = tuple(Channel(pin, pin) for pin in PINS[:CHANNELS])
    frames: Frames = SimulatedBoard().expected(SourceRequest(channels, Fraction(rate), rate), 0, RECORDED_S * rate)
    np.save(path, frames)
    return path


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory on the disk of the checkout, because fsync costs nothing on another kind."""
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS.absolute()) as directory:
        yield Path(directory)


def quiet_broker(directory: Path) -> Mosquitto:
    """mosquitto, saying only who subscribed."""
    return Mosquitto(directory, quiet=True, settings={"log_type": "subscribe", "log_dest": "stderr"})


def device_config(directory: Path, port: int, recording: Path, rate: int, batch: str, durability: str) -> Path:
    """The configuration of `bench/load` on a recorded board."""
    columns = "".join(f'[[stream.channel]]\nname = "c{column}"\n' for column in range(CHANNELS))
    path = directory / "device.toml"
    path.write_text(
        f'[device]\nname = "bench"\nboard = "recorded"\nstate = {json.dumps(str(directory / "state"))}\n'
        f"[board]\npath = {json.dumps(str(recording))}\n"
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\n[outbox]\ndurability = "{durability}"\n'
        f'[[stream]]\nname = "load"\nrate = {rate}\nbatch = "{batch}"\n{columns}',
        encoding="utf-8",
    )
    return path


def device(config: Path, seconds: float) -> RunningProcess:
    """A device process that measures itself."""
    return process(sys.executable, "tests.bench.device_subject", str(config), "load", str(seconds))


def process(
    python: str | Path, module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> RunningProcess:
    """A module in a process of its own."""
    return RunningProcess([str(python), "-m", module, *arguments], {**clean_environment(), **(environment or {})})


def outcome(running: RunningProcess, seconds: float) -> dict[str, Any]:
    """What the process says of itself at its end, which is to come after about so many seconds."""
    wait_until(lambda: "{" in running.out or not running.running, f"figures of {running}", seconds + END_S)
    if "{" not in running.out:
        raise AssertionError(f"no figures: {running}")
    found: dict[str, Any] = json.loads(running.out[running.out.index("{") :])
    return found


def cpu_s(pid: int) -> float:
    """User and system time of a process so far (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
