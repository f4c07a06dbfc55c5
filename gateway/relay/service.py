"""The relay, wired: ingest, hub, outlets and the HTTP server."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from gateway import __version__
from gateway.config import RelayConfig
from gateway.errors import ListenError
from gateway.relay.catalogue import Catalogue
from gateway.relay.ingest import Ingest
from gateway.relay.live import LiveOutlet

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
        self._catalogue = Catalogue()
        self._live = LiveOutlet(self._catalogue, config.relay.queue)
        self._ingest: Ingest | None = None
        self._runner: web.AppRunner | None = None
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        settings = self._config.relay
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, settings.host, settings.port).start()
        except OSError as error:
            await self._runner.cleanup()
            reason = os.strerror(error.errno) if error.errno else str(error)  # asyncio wraps it in many words
            raise ListenError(f"relay.listen: cannot listen on {settings.listen}: {reason}") from None
        self._ingest = Ingest(self._config.mqtt, self._catalogue, self._live.hub, self._live.announce)
        self._ingest.start()
        self._pump = asyncio.create_task(self._live.pump())
        log.info("relay: listening on http://%s", settings.listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ingest is not None:
            await self._ingest.stop()
        if self._pump is not None:
            self._pump.cancel()
        await self._live.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application()
        application.on_response_prepare.append(_secure)
        application.add_routes(
            [
                web.get("/api/v1/live", self._live.handle),
                web.get("/api/v1/streams", self._streams),
                web.get("/healthz", self._healthz),
                web.get("/", _page),
            ]
        )
        if PAGE.is_dir():
            application.router.add_static("/", PAGE)
        return application

    async def _streams(self, _: web.Request) -> web.Response:
        return web.json_response({"streams": self._catalogue.listing()})

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
