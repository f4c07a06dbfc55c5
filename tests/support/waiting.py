"""Waiting for what must become true, and never for longer than it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

PATIENCE_S = 20.0
"""Much more than anything here needs, so that a busy machine fails no test."""
STEP_S = 0.01


def wait_until(predicate: Callable[[], Value], what: str, timeout: float = PATIENCE_S) -> Value:
    """Poll until the predicate is true, and return what it gave; else fail with `what` and its last value."""
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}; last seen: {value!r}")
        time.sleep(STEP_S)
    return value


async def eventually(predicate: Callable[[], Value], what: str, timeout: float = PATIENCE_S) -> Value:
    """`wait_until`, without holding up the event loop."""
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}; last seen: {value!r}")
        await asyncio.sleep(STEP_S)
    return value
