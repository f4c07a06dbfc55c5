"""A relay that runs until it is asked to stop, and tells the service manager how it is."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from gateway.config import RelayConfig
from gateway.relay.service import RelayService
from gateway.systemd import Notifier

STATUS_S = 1.0
"""How often the status is looked at."""


async def serve(config: RelayConfig, notifier: Notifier, stopping: asyncio.Event, worker: int = 0) -> None:
    """Run the relay until the event is set; SIGHUP has it read certificates and keys anew."""

    def reload() -> None:
        notifier.reloading()
        service.reload()
        notifier.ready()

    async with RelayService(config, worker) as service:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        notifier.ready()
        reporting = asyncio.create_task(report(notifier, lambda: service.status, lambda: service.alive))
        await stopping.wait()
        reporting.cancel()
        notifier.stopping()


async def report(notifier: Notifier, status: Callable[[], str], alive: Callable[[], bool]) -> None:
    """Keep the status line as it is, and feed the watchdog.

    It is fed from this loop, which must turn for it, and only while there is progress.
    """
    told = ""
    watchdog_s = notifier.watchdog_s
    period_s = STATUS_S if watchdog_s is None else min(STATUS_S, watchdog_s / 2)
    while True:
        if told != (now := status()):
            told = now
            notifier.status(told)
        if watchdog_s is not None and alive():
            notifier.alive()
        await asyncio.sleep(period_s)
