"""`/api/v1/streams/{device}/{stream}/samples`: a part of the history, by time, index or count, as it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice

from aiohttp import web

from gateway.lines import columns_of, json_lines
from gateway.model import Batch
from gateway.relay.catalogue import StreamState
from gateway.relay.core import Core
from gateway.relay.delivery import Delivery
from gateway.relay.forms import CborForm, CsvForm
from gateway.relay.guard import asked_of
from gateway.relay.history import Excerpt
from gateway.relay.outlets.stream import known_stream
from gateway.relay.replay import delivery_of
from gateway.relay.selection import Selection
from gateway.relay.tables import Rows, Summary, TooMuch, envelopes_cbor, table_csv, table_json, table_npy, table_of

QUERIES = 8
"""How many are answered at a time."""
SLICE = 100
"""Messages that are read before the history's thread does something else."""
PATIENCE_S = 30.0
"""How long a client may take to read a part of its answer."""
NPY_BYTES = 256 << 20

CONTENT_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "cbor": "application/cbor-seq",
    "npy": "application/octet-stream",
}

Slices = AsyncIterator[list[Delivery]]


class SamplesOutlet:
    """Questions to the history."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._answering = 0

    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [web.get("/api/v1/streams/{device}/{stream}/samples", self._samples, allow_head=False)]

    async def _samples(self, request: web.Request) -> web.StreamResponse:
        state = known_stream(self._core, request)
        selection = asked_of(request, Selection)
        if self._answering >= QUERIES:
            raise web.HTTPServiceUnavailable(
                text=f"the relay answers {QUERIES} questions at a time\n", headers={"Retry-After": "1"}
            )
        self._answering += 1
        try:
            return await self._answer(request, state, selection)
        except TooMuch as error:
            raise web.HTTPRequestEntityTooLarge(NPY_BYTES, 0, text=f"{error}\n") from None
        finally:
            self._answering -= 1

    async def _answer(self, request: web.Request, state: StreamState, selection: Selection) -> web.StreamResponse:
        found = await self._core.archive.ask(state.key, selection.find)
        slices = self._slices(found)
        if selection.points is not None:
            content = await self._summary(slices, state, selection)
        elif selection.format == "npy":
            content = await self._rows(slices, state)
        else:
            return await self._stream(request, slices, state, selection.format)
        content_type, _, _ = CONTENT_TYPES[selection.format].partition(";")
        return web.Response(body=content, content_type=content_type, headers={"Cache-Control": "no-store"})

    async def _slices(self, found: Iterator[Excerpt]) -> Slices:
        """The messages, read in the history's thread, a few at a time so that others have their turn."""
        while excerpts := await self._core.archive.work(lambda: list(islice(found, SLICE))):
            yield [delivery_of(excerpt) for excerpt in excerpts]

    async def _summary(self, slices: Slices, state: StreamState, selection: Selection) -> bytes:
        assert selection.points is not None
        summary = Summary(selection.points)
        async for deliveries in slices:
            await asyncio.to_thread(summary.add, (delivery.message for delivery in deliveries))
        envelopes = summary.envelopes()
        if selection.format == "cbor":
            return envelopes_cbor(envelope for envelope, _ in envelopes)
        tables = [table_of(envelope, state.meta_of(revision)) for envelope, revision in envelopes]
        if selection.format == "csv":
            return table_csv(tables)
        return table_npy(tables) if selection.format == "npy" else table_json(state.key, tables)

    async def _rows(self, slices: Slices, state: StreamState) -> bytes:
        rows = Rows(state.meta_of, NPY_BYTES)
        async for deliveries in slices:
            await asyncio.to_thread(rows.add, _batches(deliveries))
        return await asyncio.to_thread(rows.npy)

    async def _stream(
        self, request: web.Request, slices: Slices, state: StreamState, form: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPES[form], "Cache-Control": "no-store"})
        await response.prepare(request)
        writer = WRITERS[form](state)
        await _write(response, writer.start())
        async for deliveries in slices:
            await _write(response, await asyncio.to_thread(writer.write, deliveries))
        await _write(response, writer.end())
        await response.write_eof()
        return response


class Writer:
    """Messages as a body."""

    def __init__(self, state: StreamState) -> None:
        self.state = state

    def start(self) -> bytes:
        """What comes first."""
        return b""

    def write(self, deliveries: list[Delivery]) -> bytes:
        """Some messages."""
        raise NotImplementedError

    def end(self) -> bytes:
        """What comes last."""
        return b""


class LinesWriter(Writer):
    """CSV or CBOR, as live."""

    def __init__(self, state: StreamState, form: CsvForm | CborForm) -> None:
        super().__init__(state)
        self._form = form

    def start(self) -> bytes:
        return self._form.start()

    def write(self, deliveries: list[Delivery]) -> bytes:
        return b"".join(map(self._form, deliveries))


class JsonWriter(Writer):
    """One object, or a line for each frame."""

    def __init__(self, state: StreamState, *, whole: bool) -> None:
        super().__init__(state)
        self._whole = whole
        self._separator = ""

    def start(self) -> bytes:
        return f'{{"stream":"{self.state.key}","frames":[\n'.encode() if self._whole else b""

    def write(self, deliveries: list[Delivery]) -> bytes:
        lines: list[str] = []
        for delivery in deliveries:
            batch = delivery.batch
            columns = columns_of(self.state.meta_of(batch.revision), batch) if batch is not None else ()
            lines += json_lines(delivery.message, columns)
        text = self._separator + (",\n" if self._whole else "\n").join(lines)
        self._separator = ",\n" if self._whole else "\n"
        return text.encode()

    def end(self) -> bytes:
        return b"\n]}\n" if self._whole else self._separator.encode()


WRITERS: dict[str, Callable[[StreamState], Writer]] = {
    "json": lambda state: JsonWriter(state, whole=True),
    "ndjson": lambda state: JsonWriter(state, whole=False),
    "csv": lambda state: LinesWriter(state, CsvForm(state)),
    "cbor": lambda state: LinesWriter(state, CborForm()),
}


def _batches(deliveries: list[Delivery]) -> Iterator[Batch]:
    return (batch for delivery in deliveries if (batch := delivery.batch) is not None)


async def _write(response: web.StreamResponse, content: bytes) -> None:
    """A client that reads nothing for long is cut off: its body ends without its last chunk."""
    if content:
        async with asyncio.timeout(PATIENCE_S):
            await response.write(content)
