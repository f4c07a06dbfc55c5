"""Real-time priority is taken where it is permitted; elsewhere the answer says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from boards.errors import LimitExceeded
from boards.realtime import request_realtime

WITHOUT_PERMISSION = """
import os, resource
from boards.realtime import request_realtime
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
if os.geteuid() == 0:
    os.setuid(65534)
print(request_realtime(42))
print(os.sched_getscheduler(0) == os.SCHED_OTHER)
"""


def test_the_thread_has_the_priority_or_is_told_why_not() -> None:
    def ask() -> tuple[str | None, int, int]:
        answer = request_realtime(7)
        return answer, os.sched_getscheduler(0), os.sched_getparam(0).sched_priority

    with ThreadPoolExecutor(1) as thread:
        answer, policy, priority = thread.submit(ask).result()
    if answer is None:
        assert policy == os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        assert priority == 7
    else:
        assert "real-time priority 7" in answer
        assert policy == os.SCHED_OTHER
    assert os.sched_getscheduler(0) == os.SCHED_OTHER, "only the thread that asks is affected"


def test_without_permission_the_answer_names_the_limit_and_what_to_set() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_PERMISSION], capture_output=True, text=True, check=True)
    answer, ordinary = done.stdout.splitlines()
    assert "priority 42 is not permitted (RLIMIT_RTPRIO is 0)" in answer
    assert "LimitRTPRIO=42" in answer
    assert "AmbientCapabilities=CAP_SYS_NICE" in answer
    assert ordinary == "True"


@pytest.mark.parametrize("priority", [0, 100])
def test_a_priority_that_does_not_exist_is_refused(priority: int) -> None:
    with pytest.raises(LimitExceeded, match=f"from 1 to 99; found {priority}"):
        request_realtime(priority)
