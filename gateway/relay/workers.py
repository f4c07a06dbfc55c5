"""The parent of a relay's workers: it starts them, keeps them running, and speaks to systemd for all.

It serves nobody itself. A worker that ends is started again, with growing waits; one that makes no progress is
killed first. What goes wrong before all have listened ends the whole, and is said once.
"""

from __future__ import annotations

import asyncio
import logging
import signal

from gateway.backoff import Backoff
from gateway.config import RelayConfig, TcpSettings
from gateway.errors import HeadwaterError
from gateway.logs import LogSettings
from gateway.relay.auth import Auth
from gateway.relay.listening import check_free
from gateway.relay.loops import loop_factory
from gateway.relay.serving import report
from gateway.relay.tls import server_context
from gateway.relay.worker import Job
from gateway.relay.worker_process import WorkerProcess
from gateway.systemd import Notifier

log = logging.getLogger(__name__)

WATCHDOG_S = 10.0
"""How long a worker may make no progress."""
LOOK_AFTER_S = 0.5
STEADY_S = 60.0
"""A worker that ran for so long is started again as if it were the first time."""


class Workers:
    """As many workers as the configuration says, for as long as `run` lasts."""

    def __init__(
        self, config: RelayConfig, logs: LogSettings, notifier: Notifier, watchdog_s: float = WATCHDOG_S
    ) -> None:
        self._config = config
        self._notifier = notifier
        self._started = False
        """Whether all have listened once."""
        self._reloading = False
        self.workers = [
            WorkerProcess(Job(number, config, logs, watchdog_s), self._look)
            for number in range(config.relay.workers)
        ]

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep the workers running until the event is set; raises HeadwaterError if they cannot start."""
        check(self._config)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
        tasks = [asyncio.create_task(self._keep(worker)) for worker in self.workers]
        tasks.append(asyncio.create_task(self._look_after()))
        tasks.append(asyncio.create_task(report(self._notifier, self.status, self.alive)))
        asked = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([asked, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._notifier.stopping()
            for task in (asked, *tasks):
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def alive(self) -> bool:
        """Whether anybody is served."""
        return any(worker.ready for worker in self.workers)

    def status(self) -> str:
        """One line for people."""
        return "; ".join(f"{worker.name}: {worker.status or 'starting'}" for worker in self.workers)

    def reload(self) -> None:
        """Have all workers read certificates and keys anew."""
        if self._started:
            self._reloading = True
            self._notifier.reloading()
        for worker in self.workers:
            worker.reload()
        self._look()

    async def _keep(self, worker: WorkerProcess) -> None:
        """Run one worker again and again."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            end = await worker.run()
            if not self._started:
                raise HeadwaterError(worker.error or f"{worker.name} {end} before it listened")
            if loop.time() - began > STEADY_S:
                backoff.reset()
            wait_s = backoff.next_s()
            fields = {"event": "worker_ended", "ended": worker.number, "reason": end, "wait_s": round(wait_s, 1)}
            log.error("%s %s; it is started again in %.1f s", worker.name, end, wait_s, extra=fields)
            await asyncio.sleep(wait_s)

    async def _look_after(self) -> None:
        """Kill workers that make no progress; their keepers do the rest."""
        while True:
            await asyncio.sleep(LOOK_AFTER_S)
            for worker in self.workers:
                worker.look_after()

    def _look(self) -> None:
        """Something has changed with a worker: tell systemd what now holds for all."""
        if not self._started and all(worker.ready for worker in self.workers):
            self._started = True
            self._notifier.ready()
        elif self._reloading and not any(worker.reloading for worker in self.workers):
            self._reloading = False
            self._notifier.ready()


def check(config: RelayConfig) -> None:
    """Find what would end every worker; raises HeadwaterError."""
    loop_factory(config.relay.loop)
    server_context(config.relay)
    Auth(config.auth)
    check_free("relay.listen", config.relay.listen)
    for outlet in config.outlet:
        if isinstance(outlet, TcpSettings):
            check_free("outlet.listen", outlet.listen)
