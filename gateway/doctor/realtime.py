"""Whether the acquisition may have real-time priority."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from boards.realtime import request_realtime
from gateway.doctor.finding import Finding


def check_realtime() -> Finding:
    """Ask for it as the acquisition does, in a thread that ends with the question."""
    with ThreadPoolExecutor(1) as thread:
        return realtime_finding(thread.submit(request_realtime).result())


def realtime_finding(refusal: str | None) -> Finding:
    """What `request_realtime()` answered."""
    if refusal is None:
        return Finding("realtime", "SCHED_FIFO is granted")
    return Finding("realtime", "SCHED_FIFO is not granted", refusal)
