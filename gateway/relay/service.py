"""The relay, wired: ingest, hub, outlets and the HTTP server."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from gateway.config import RelayConfig, SourceSettings
from gateway.errors import ConfigError, HeadwaterError
from gateway.relay.application import application
from gateway.relay.core import Core
from gateway.relay.front import FrontDoor
from gateway.relay.http_log import http_log
from gateway.relay.ingest import Ingest, Source
from gateway.relay.listening import listen
from gateway.relay.outlets import FEED_OUTLETS, FeedOutlet
from gateway.relay.pipe import CLOSE_S
from gateway.relay.reception import Reception
from gateway.relay.tls import load_certificate
from gateway.state import held, made, state_path

log = logging.getLogger(__name__)

SHUTDOWN_S = 1.0
KEEPALIVE_S = 60.0
"""How long a connection may be idle between two requests; aiohttp's own is an hour."""
HISTORY_KEY = "history.directory"


class RelayService:
    """A running relay, or one worker of it, for as long as the `async with` lasts. Make it in the loop."""

    def __init__(self, config: RelayConfig, worker: int = 0) -> None:
        self._config = config
        self._directory = history_directory(config, worker)
        self._core = Core(config, self._directory, worker)
        self._undo = ExitStack()
        self._ingest: Ingest | None = None
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._outlets: list[FeedOutlet] = []

    async def __aenter__(self) -> Self:
        if self._directory is not None:
            self._undo.enter_context(held(made(self._directory, HISTORY_KEY), HISTORY_KEY, "relay"))
        await self._open_history()
        self._runner = web.AppRunner(
            application(self._core),
            access_log=None,
            logger=http_log(),
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=KEEPALIVE_S,
        )
        await self._runner.setup()
        self._ingest = self._make_ingest()
        try:
            await self._listen(self._runner)
            self._ingest.start()
        except HeadwaterError:
            self._stop_listening()
            await self._runner.cleanup()
            await self._core.close()
            self._undo.close()
            raise
        self._core.undecodable = lambda: self._ingest.undecodable if self._ingest else 0
        self._tasks = [asyncio.create_task(self._core.run()), asyncio.create_task(self._ingest.run())]
        scheme = "https" if self._core.tls else "http"
        where = f"{scheme}://{self._config.relay.listen}"
        log.info("relay: listening on %s", where, extra={"event": "listening", "url": where})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_listening()
        for task in self._tasks:
            task.cancel()
        if self._ingest is not None:
            await asyncio.gather(self._ingest.stop(), self._send_away())
        if self._runner is not None:
            await self._runner.cleanup()
        await self._core.close()
        self._undo.close()

    @property
    def alive(self) -> bool:
        """Whether it makes progress, with or without a broker."""
        return self._ingest is not None and self._ingest.alive and not any(task.done() for task in self._tasks)

    @property
    def status(self) -> str:
        """One line for people."""
        sources = self._ingest.sources if self._ingest is not None else []
        connected = sum(source.connected for source in sources)
        return f"{connected} of {len(sources)} brokers, {len(self._core.clients)} subscribers"

    def reload(self) -> None:
        """Read certificates and keys anew; what cannot be used is logged, and the old ones stay."""
        try:
            self._core.auth.reload()
            if self._core.tls is not None:
                load_certificate(self._core.tls, self._config.relay)
        except ConfigError as error:
            log.error("reload: %s", error, extra={"event": "reload_failed", "reason": str(error)})
            return
        log.info("reload: certificates and keys are read anew", extra={"event": "reload"})

    async def _open_history(self) -> None:
        try:
            await self._core.open()
        except OSError as error:
            self._undo.close()
            raise ConfigError(f"{HISTORY_KEY}: {self._directory}: cannot be read: {error.strerror}") from None

    async def _listen(self, runner: web.AppRunner) -> None:
        server = runner.server
        assert server is not None
        settings = self._config.relay
        self._server = await listen(
            self._core, "relay.listen", settings.listen, lambda: FrontDoor(self._core.gate, server)
        )
        for outlet_settings in self._config.outlet:
            kind = FEED_OUTLETS[outlet_settings.type]
            if kind.shared or self._core.worker == 0:
                outlet = kind(self._core, outlet_settings)
                self._outlets.append(outlet)
                await outlet.open()

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
        for outlet in self._outlets:
            outlet.close()

    async def _send_away(self) -> None:
        """Tell every client to come back later, and give them a moment to read it."""
        count = len(self._core.clients)
        log.info("relay: stopping, with %d clients", count, extra={"event": "stopping", "clients": count})
        for client in list(self._core.clients):
            client.end("restart")
        deadline = asyncio.get_running_loop().time() + CLOSE_S
        while self._core.clients and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)

    def _make_ingest(self) -> Ingest:
        sources = []
        for settings in self._config.mqtt:
            reception = Reception(settings.root, self._core.catalogue, self._core.publish, self._core.announce)
            client_id = self._client_id(settings)
            publish, conclude = self._core.publish, self._core.archive.end_epoch
            sources.append(
                Source(settings, client_id, reception, publish, conclude, persistent=settings.persistent)
            )
        return Ingest(sources, self._tell_broker)

    def _client_id(self, settings: SourceSettings) -> str:
        """The same after each restart, another for each relay: the broker keeps what it could not deliver."""
        root = settings.root.replace("/", "-")
        own = f"headwater-relay-{socket.gethostname()}-{self._config.relay.port}-{root}"
        worker = f"-{self._core.worker}" if self._core.worker else ""
        return f"{settings.client_id or own}{worker}"

    def _tell_broker(self) -> None:
        connected = self._ingest is not None and self._ingest.connected
        self._core.announce("", {"type": "broker", "connected": connected})


def history_directory(config: RelayConfig, worker: int = 0) -> Path | None:
    """Where the history is kept on disk, by each worker its own beside the first one's; None if it is not."""
    if not config.history.disk:
        return None
    first = config.history.directory or state_path(f"relay-{config.relay.port}", None) / "history"
    return first.with_name(f"{first.name}-{worker}") if worker else first
