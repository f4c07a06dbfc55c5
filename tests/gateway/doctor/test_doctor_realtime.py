"""Real-time priority: asked for as the acquisition does, and given back at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from boards.realtime import request_realtime
from gateway.config import DeviceConfig, load_mapping
from gateway.doctor import Machine, examine_device
from gateway.doctor.realtime import check_realtime, realtime_finding


def test_the_answer_is_the_boards_own_and_changes_nothing_here() -> None:
    finding = check_realtime()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    if finding.ok:
        assert finding.found == "SCHED_FIFO is granted"
    else:
        assert finding.todo == request_realtime()


def test_what_the_kernel_refuses_says_what_to_set() -> None:
    finding = realtime_finding("not permitted: set LimitRTPRIO=50")
    assert finding.todo == "not permitted: set LimitRTPRIO=50"
    assert realtime_finding(None).ok


@pytest.mark.parametrize("wanted", [True, False])
def test_it_is_asked_for_where_the_configuration_does(wanted: bool, tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "device": {"realtime": wanted, "state": str(tmp_path)},
        "mqtt": {"url": "mqtt://127.0.0.1:1"},
        "stream": [{"name": "ecg", "rate": 500, "channel": [{"name": "a", "input": "P9_39"}]}],
    }
    found = [finding.check for finding in examine_device(load_mapping(DeviceConfig, content, "test"), Machine())]
    assert ("realtime" in found) is wanted
