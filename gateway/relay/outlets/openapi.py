"""`/api/v1/openapi.json`: what the relay can be asked over HTTP, for programs."""

from __future__ import annotations

from functools import cached_property

from aiohttp import web

from gateway.relay.core import Core
from gateway.relay.openapi import document


class OpenApiOutlet:
    """The document."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [web.get("/api/v1/openapi.json", self._show)]

    @cached_property
    def _document(self) -> dict[str, object]:
        return document(guarded=self._core.auth.wanted)

    async def _show(self, _: web.Request) -> web.Response:
        return web.json_response(self._document)
