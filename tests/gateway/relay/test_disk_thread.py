"""The thread that has the disk: in order, and nothing that an ending process waits for."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from gateway.relay.disk_thread import DiskThread
from tests.support.processes import RunningProcess

STALLED = """
import asyncio, sys, threading
from pathlib import Path
from gateway.relay import archive
from gateway.relay.history import HistoryLimits, HistoryStore

HistoryStore.close = lambda _: threading.Event().wait()  # a disk that never answers
archive.CLOSE_S = 0.2

async def main():
    kept = archive.Archive(HistoryLimits(), Path(sys.argv[1]))
    await kept.open()
    await kept.close()
    print("closed", flush=True)

asyncio.run(main())
"""


async def test_work_is_done_in_order_in_one_thread_and_errors_reach_who_asked() -> None:
    thread, loop = DiskThread("disk"), asyncio.get_running_loop()
    done: list[int] = []
    await asyncio.gather(*(loop.run_in_executor(thread, done.append, number) for number in range(100)))
    assert done == list(range(100))
    name = await loop.run_in_executor(thread, lambda: threading.current_thread().name)
    assert name == "disk"
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(thread, lambda: 1 // 0)
    assert await loop.run_in_executor(thread, lambda: 5) == 5
    thread.shutdown()
    with pytest.raises(RuntimeError, match="takes no more work"):
        thread.submit(done.append, 1)


def test_what_is_not_begun_may_be_cancelled() -> None:
    thread, begun, go_on = DiskThread("disk"), threading.Event(), threading.Event()

    def hold() -> str:
        begun.set()
        go_on.wait(20)
        return "done"

    first, second = thread.submit(hold), thread.submit(int)
    assert begun.wait(20)
    thread.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    assert first.result(20) == "done"
    assert second.cancelled()


def test_a_disk_that_never_answers_does_not_hold_up_the_end_of_the_process(tmp_path: Path) -> None:
    with RunningProcess([sys.executable, "-c", STALLED, str(tmp_path)]) as process:
        process.wait_for("closed")
        assert process.wait() == 0
        assert "does not answer" in process.err
