"""The relay, wired: ingest, hub, outlets and the HTTP server."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from gateway import __version__
from gateway.config import RelayConfig
from gateway.errors import ListenError
from gateway.relay.core import Core
from gateway.relay.front import FrontDoor, Gate
from gateway.relay.ingest import Ingest, Source
from gateway.relay.outlets.live import LiveOutlet
from gateway.relay.reception import Reception

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "web" / "dist"
SHUTDOWN_S = 1.0

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class RelayService:
    """A running relay, for as long as the `async with` lasts."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._core = Core(config.relay.queue)
        self._live = LiveOutlet(self._core)
        self._ingest: Ingest | None = None
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        settings = self._config.relay
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        try:
            gate = Gate(10000, 10000, 10)
            server = self._runner.server
            assert server is not None
            self._server = await asyncio.get_running_loop().create_server(
                lambda: FrontDoor(gate, server), settings.host, settings.port
            )
        except OSError as error:
            await self._runner.cleanup()
            reason = os.strerror(error.errno) if error.errno else str(error)  # asyncio wraps it in many words
            raise ListenError(f"relay.listen: cannot listen on {settings.listen}: {reason}") from None
        self._ingest = self._make_ingest()
        self._ingest.start()
        self._tasks = [asyncio.create_task(self._live.run()), asyncio.create_task(self._ingest.run())]
        log.info("relay: listening on http://%s", settings.listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        if self._ingest is not None:
            await self._ingest.stop()
        for task in self._tasks:
            task.cancel()
        await self._live.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _make_ingest(self) -> Ingest:
        sources = []
        for settings in self._config.mqtt:
            reception = Reception(settings.root, self._core.catalogue, self._core.publish, self._core.announce)
            client_id = settings.client_id or self._client_id(settings.root)
            sources.append(
                Source(settings, client_id, reception, self._core.publish, persistent=settings.persistent)
            )
        return Ingest(sources, self._tell_broker)

    def _client_id(self, root: str) -> str:
        """The same after each restart, another for each relay: the broker keeps what it could not deliver."""
        return f"headwater-relay-{socket.gethostname()}-{self._config.relay.port}-{root.replace('/', '-')}"

    def _tell_broker(self) -> None:
        connected = self._ingest is not None and self._ingest.connected
        self._core.announce("", {"type": "broker", "connected": connected})

    def _application(self) -> web.Application:
        application = web.Application()
        application.on_response_prepare.append(_secure)
        application.add_routes(
            [
                *self._live.routes(),
                web.get("/api/v1/streams", self._streams),
                web.get("/healthz", self._healthz),
                web.get("/", _page),
            ]
        )
        if PAGE.is_dir():
            application.router.add_static("/", PAGE)
        return application

    async def _streams(self, _: web.Request) -> web.Response:
        return web.json_response({"streams": self._core.catalogue.listing()})

    async def _healthz(self, _: web.Request) -> web.Response:
        ingest = self._ingest
        return web.json_response(
            {
                "status": "ok",
                "version": __version__,
                "broker": ingest is not None and ingest.connected,
                "undecodable": 0 if ingest is None else ingest.undecodable,
            }
        )


async def _page(_: web.Request) -> web.FileResponse:
    if not (PAGE / "index.html").is_file():
        raise web.HTTPNotFound(text="The page is not built here; build it with 'make page'.\n")
    return web.FileResponse(PAGE / "index.html")


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
