"""Who has which file open, on a stand-in and on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.doctor.machine import Machine, Process
from tests.gateway.doctor.standin import StandIn


def test_a_file_that_cannot_be_read_has_no_text(tmp_path: Path) -> None:
    StandIn(tmp_path).write("/proc/device-tree/model", b"TI AM335x BeagleBone Black\0")
    assert Machine(tmp_path).text("/proc/device-tree/model") == "TI AM335x BeagleBone Black"
    assert Machine(tmp_path).text("/etc/adjtime") is None
    assert Machine(tmp_path).text("/proc") is None


def test_the_holder_of_a_file_is_found_among_all_processes(tmp_path: Path) -> None:
    there = StandIn(tmp_path)
    there.run(7, "/usr/bin/cat", "/dev/ttyS1", files=["/dev/pts/0", "/dev/ttyS1"])
    there.run(12, "/usr/bin/minicom", files=["/dev/ttyS2"])
    there.write("/proc/13/cmdline", "")  # a thread of the kernel
    assert there.machine.holder(lambda file: file == "/dev/ttyS2") == Process(12, "/usr/bin/minicom")
    assert there.machine.holder(lambda file: file == "/dev/ttyS3") is None


def test_this_very_process_holds_the_file_that_it_has_open(tmp_path: Path) -> None:
    path = tmp_path / "held"
    with path.open("w"):
        holder = Machine().holder(lambda file: file == str(path))
    assert holder is not None
    assert holder.pid == os.getpid()
    assert Machine().holder(lambda file: file == str(path)) is None


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("/opt/venv/bin/python /opt/venv/bin/headwater run device.toml", True),
        ("/usr/bin/headwater relay", True),
        ("python3 -m gateway run device.toml", True),
        ("vim /etc/headwater/headwater", False),
        ("agetty ttyS1", False),
    ],
)
def test_headwater_knows_itself(command: str, ours: bool) -> None:
    assert Process(1, command).is_headwater is ours
