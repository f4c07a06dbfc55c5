"""A relay that runs until it is asked to stop, and tells the service manager how it is."""

from __future__ import annotations

import asyncio
import signal

from gateway.config import RelayConfig
from gateway.relay.service import RelayService
from gateway.systemd import Notifier

STATUS_S = 1.0
"""How often the status is looked at."""


async def serve(config: RelayConfig, notifier: Notifier, stopping: asyncio.Event) -> None:
    """Run the relay until the event is set; SIGHUP has it read certificates and keys anew."""

    def reload() -> None:
        notifier.reloading()
        service.reload()
        notifier.ready()

    async with RelayService(config) as service:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        notifier.ready()
        telling = [asyncio.create_task(_tell(service, notifier))]
        if notifier.watchdog_s is not None:
            telling.append(asyncio.create_task(_feed(service, notifier, notifier.watchdog_s / 2)))
        await stopping.wait()
        for task in telling:
            task.cancel()
        notifier.stopping()


async def _tell(service: RelayService, notifier: Notifier) -> None:
    """Keep the status line as it is."""
    told = ""
    while True:
        if service.status != told:
            told = service.status
            notifier.status(told)
        await asyncio.sleep(STATUS_S)


async def _feed(service: RelayService, notifier: Notifier, period_s: float) -> None:
    """Feed the watchdog from this loop, which must turn for it, as long as the relay makes progress."""
    while True:
        if service.alive:
            notifier.alive()
        await asyncio.sleep(period_s)
