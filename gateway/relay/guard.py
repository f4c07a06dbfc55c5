"""What every HTTP request has to pass: where its page comes from, and who asks."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import urlsplit

from aiohttp import web

from boards.errors import BadOption
from gateway.relay.auth import EVERYTHING, Auth, AuthError, Grant, allowed_origin
from gateway.relay.journal import Journal
from gateway.relay.words import Asked, each_once, parse_words

GRANT = web.RequestKey("grant", Grant)
"""What the request's sender may read."""
OPEN = ("/healthz", "/readyz", "/api/v1/session", "/api/v1/openapi.json")
"""What needs no token, beside the page itself; a WebSocket may bring it later."""
LIVE = "/api/v1/live"
PATH_BYTES = 255
"""The longest path, which is also the longest name of a file: aiohttp fails at longer ones."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
    "Access-Control-Max-Age": "3600",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """The middleware."""

    def __init__(self, auth: Auth, origins: Sequence[str], journal: Journal) -> None:
        self._auth = auth
        self._journal = journal
        self._origins = tuple(origins)
        self._hosts = {"localhost", socket.gethostname().lower(), *(urlsplit(o).hostname or "" for o in origins)}

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the request pass, or answer 401, 403 or 414."""
        if len(request.path.encode(errors="replace")) > PATH_BYTES:
            raise web.HTTPRequestURITooLong(text=f"A path may have {PATH_BYTES} bytes.\n")
        if not self._auth.wanted and not self._own_host(request.headers):
            raise web.HTTPForbidden(text="The Host is not one of this relay's; relay.origins names more.\n")
        if not allowed_origin(request.headers, self._origins):
            raise web.HTTPForbidden(text="Pages of this origin may not use the API; relay.origins names those.\n")
        if self._is_preflight(request):
            return web.Response(status=204, headers=PREFLIGHT_HEADERS)
        guarded = request.path.startswith(("/api/", "/metrics")) and request.path not in OPEN
        try:
            grant = self._auth.grant(request.headers)
        except AuthError as error:
            if guarded:
                self._journal.refused("http", request.remote or "?", str(error))
                raise _unauthorized(str(error)) from None
            grant = None  # whose token is no longer good may still see the page and log in
        if grant is None and guarded and request.path != LIVE:
            raise _unauthorized("a token is needed: Authorization: Bearer …")
        if grant is not None:
            request[GRANT] = grant
        return await handler(request)

    async def headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """What every answer says besides."""
        response.headers.update(self.headers_for(request))

    def headers_for(self, request: web.Request) -> dict[str, str]:
        """The headers of an answer to the request."""
        origin = request.headers.get("Origin")
        if origin in self._origins:
            return {**SECURITY_HEADERS, "Access-Control-Allow-Origin": str(origin), "Vary": "Origin"}
        return SECURITY_HEADERS

    def _is_preflight(self, request: web.Request) -> bool:
        """Whether a browser asks, without a token, what a page of one of the named origins may ask."""
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return asks and request.headers.get("Origin") in self._origins

    def _own_host(self, headers: Mapping[str, str]) -> bool:
        """Against pages whose name was made to point here: an address is nobody's name."""
        try:
            host = urlsplit(f"//{headers.get('Host', '')}").hostname or ""
            return host in self._hosts or bool(ipaddress.ip_address(host))
        except ValueError:
            return False


def asked_of(request: web.Request, model: type[Asked]) -> Asked:
    """What the address asks for; answers 400 if that cannot be had."""
    where = request.path.rpartition("/")[2]
    try:
        return parse_words(model, each_once(request.query.items(), where), where)
    except BadOption as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None


def granted(request: web.Request, stream: str) -> Grant:
    """What the sender may read, if the stream is among it; answers 403 if not."""
    grant: Grant = request.get(GRANT, EVERYTHING)
    if not grant.allows(stream):
        raise web.HTTPForbidden(text=f"The token does not allow {stream}.\n")
    return grant


def need_admin(request: web.Request) -> None:
    """Answers 403 unless the sender may see the relay's figures."""
    if not request[GRANT].admin:
        raise web.HTTPForbidden(text="The token is not one of an administrator.\n")


def _unauthorized(why: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(text=f"{why}\n", headers={"WWW-Authenticate": "Bearer"})
