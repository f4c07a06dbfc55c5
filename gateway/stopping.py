"""How a service is asked to stop: SIGINT and SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import threading

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_event() -> threading.Event:
    """An event that SIGINT and SIGTERM set."""
    stopping = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def stop_signal() -> asyncio.Event:
    """The same for a coroutine; called before the service starts, so that a stop meanwhile is not missed."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    return stopping
