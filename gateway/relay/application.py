"""The relay's HTTP: the outlets, the page, and words for whoever asks for neither."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from gateway.relay.core import Core
from gateway.relay.outlets import HTTP_OUTLETS

PAGE = Path(__file__).parent / "web" / "dist"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(core: Core) -> web.Application:
    """Everything that answers HTTP."""
    made = web.Application(middlewares=[until_gone, in_words, core.guard.check])
    made.on_response_prepare.append(core.guard.headers)
    for outlet in HTTP_OUTLETS:
        made.add_routes(outlet(core).routes())
    made.add_routes(page_routes())
    return made


def page_routes() -> list[web.RouteDef | web.StaticDef]:
    """The files of the page, each by its name: a folder at `/` would take in what is under `/api`."""
    entries = sorted(PAGE.iterdir()) if PAGE.is_dir() else []
    return [
        web.get("/", partial(_file, PAGE / "index.html")),
        *(
            web.static(f"/{path.name}", path) if path.is_dir() else web.get(f"/{path.name}", partial(_file, path))
            for path in entries
        ),
    ]


@web.middleware
async def until_gone(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whoever leaves before the end of an answer is no failure of the relay."""
    try:
        return await handler(request)
    except ConnectionResetError:
        return web.Response()  # which aiohttp finds it has nowhere to send


@web.middleware
async def in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have aiohttp's own refusals say what was found and what there is, in a line as all others do."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.text == f"{error.status}: {error.reason}":
            error.text = f"{_words(request, error)}\n"
        raise


def _words(request: web.Request, error: web.HTTPException) -> str:
    match error:
        case web.HTTPMethodNotAllowed():
            return (
                f"{request.method:.20} is not allowed there; allowed: {', '.join(sorted(error.allowed_methods))}."
            )
        case web.HTTPNotFound():
            return f"There is nothing at {request.raw_path!a:.100}; /api/v1/openapi.json says what there is."
    return f"{error.reason}."


async def _file(path: Path, _: web.Request) -> web.FileResponse:
    if not path.is_file():
        raise web.HTTPNotFound(text="The page is not built here; build it with 'make page'.\n")
    return web.FileResponse(path)
