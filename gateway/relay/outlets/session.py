"""`/api/v1/session`: a token as a cookie, for pages, which can set no header on a WebSocket."""

from __future__ import annotations

import time

from aiohttp import web

from gateway.relay.answers import Login, Session
from gateway.relay.auth import COOKIE, AuthError, token_in
from gateway.relay.core import Core


class SessionOutlet:
    """Log in and out."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [
            web.get("/api/v1/session", self._show),
            web.post("/api/v1/session", self._open),
            web.delete("/api/v1/session", self._close),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        try:
            grant = self._core.auth.grant(request.headers)
        except AuthError:
            grant = None
        session: Session = {
            "required": self._core.auth.wanted,
            "authorized": grant is not None,
            "streams": list(grant.streams) if grant else [],
        }
        return web.json_response(session)

    async def _open(self, request: web.Request) -> web.Response:
        response = web.json_response(Login(authorized=True))
        if not self._core.auth.wanted:
            return response
        token = token_in({"Authorization": request.headers.get("Authorization", "")})
        try:
            if token is None:
                raise AuthError("send the token as Authorization: Bearer …")
            grant = self._core.auth.check(token)
        except AuthError as error:
            self._core.journal.refused("session", request.remote or "?", str(error))
            raise web.HTTPUnauthorized(text=f"{error}\n", headers={"WWW-Authenticate": "Bearer"}) from None
        lifetime = max(1, int((grant.expires or time.time()) - time.time()))
        response.set_cookie(
            COOKIE, token, max_age=lifetime, httponly=True, samesite="Strict", secure=request.secure, path="/"
        )
        return response

    async def _close(self, _: web.Request) -> web.Response:
        response = web.json_response(Login(authorized=False))
        response.del_cookie(COOKIE, path="/")
        return response
