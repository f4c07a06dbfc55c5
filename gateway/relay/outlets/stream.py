"""`/api/v1/streams` and `/api/v1/streams/{device}/{stream}/live`: a stream for `curl -N`.

CSV and NDJSON have a line a frame, in physical units; CBOR is the messages as they are on MQTT, one after the
other (RFC 8742).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web
from aiohttp.http import HttpVersion11

from gateway.errors import TopicError
from gateway.relay.answers import StreamList
from gateway.relay.auth import EVERYTHING, Grant
from gateway.relay.catalogue import StreamState
from gateway.relay.client import Client
from gateway.relay.core import Core
from gateway.relay.delivery import Form
from gateway.relay.forms import PlainForm, make_form
from gateway.relay.front import front_door
from gateway.relay.guard import GRANT, asked_of, granted
from gateway.relay.replay import Place, place_of
from gateway.relay.wish import HttpWish
from gateway.topics import split_stream_key

CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "cbor": "application/cbor-seq",
}
LAST_CHUNK = b"0\r\n\r\n"


def chunk(content: bytes) -> bytes:
    """One chunk of a body of unknown length: RFC 9112, section 7.1."""
    return b"%x\r\n%b\r\n" % (len(content), content) if content else b""


class Reader(Client):
    """One HTTP response without an end."""

    outlet = "http"

    def __init__(self, transport: asyncio.Transport, core: Core, form: Form, grant: Grant, last: bytes) -> None:
        super().__init__(transport, core, form, grant)
        self._last = last

    def say_goodbye(self, reason: str) -> None:
        # after a loss the body just stops: an end in good order would say that all is there
        self.close(self._last if reason == "restart" else b"")


class StreamOutlet:
    """All HTTP readers of streams, and the list of streams."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._forms: dict[tuple[str, str], PlainForm] = {}
        self._chunked: dict[tuple[str, str], Form] = {}

    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [
            web.get("/api/v1/streams", self._list),
            web.get("/api/v1/streams/{device}/{stream}/live", self._live, allow_head=False),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        grant = request.get(GRANT, EVERYTHING)
        listing = self._core.catalogue.listing()
        mine: StreamList = {"streams": [entry for entry in listing if grant.allows(entry["stream"])]}
        return web.json_response(mine)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        state = known_stream(self._core, request)
        grant = granted(request, state.key)
        asked = asked_of(request, HttpWish)
        form, wish = asked.format, asked.of(state.key)
        place = None if wish.start is None else await place_of(self._core.archive, state.key, wish.start)
        chunked = request.version >= HttpVersion11
        lines = self._form(state, form)
        door, transport = front_door(request)
        wire = self._chunk_form(state, form) if chunked else lines
        reader = Reader(transport, self._core, wire, grant, LAST_CHUNK if chunked else b"")
        door.take_over(request.protocol, reader)
        start = lines.start()
        head = self._head(request, CONTENT_TYPES[form], chunked, place)
        reader.send(head + (chunk(start) if chunked else start))
        reader.join(wish, place.key if place is not None else None)
        return web.Response()

    def _form(self, state: StreamState, name: str) -> PlainForm:
        form = self._forms.get((state.key, name))
        if form is None:
            form = make_form(name, state)
            self._forms[state.key, name] = form
        return form

    def _chunk_form(self, state: StreamState, name: str) -> Form:
        inner = self._form(state, name)
        return self._chunked.setdefault((state.key, name), lambda delivery: chunk(delivery.wire(inner)))

    def _head(self, request: web.Request, content_type: str, chunked: bool, place: Place | None) -> bytes:
        recovered = {} if place is None else {"Headwater-Recovered": str(place.recovered).lower()}
        return response_head(
            {
                **recovered,
                **self._core.guard.headers_for(request),
                "Content-Type": content_type,
                "Cache-Control": "no-store",
                **({"Transfer-Encoding": "chunked"} if chunked else {"Connection": "close"}),
            }
        )


def response_head(headers: Mapping[str, str]) -> bytes:
    """The head of a response that is written past aiohttp."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode()


def known_stream(core: Core, request: web.Request) -> StreamState:
    """The stream in the path; answers 400 for a bad name and 404 for one that nobody has heard of."""
    key = f"{request.match_info['device']}/{request.match_info['stream']}"
    try:
        split_stream_key(key)
    except TopicError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None
    granted(request, key)
    state = core.catalogue.streams.get(key)
    if state is None:
        raise web.HTTPNotFound(text=f"There is no stream {key}.\n")
    return state
