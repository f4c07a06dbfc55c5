"""Every operation of the API: what it is for, what may be asked, what is answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.relay.answers import Health, Login, Points, Readiness, Samples, Session, StreamList, SubscriberList
from gateway.relay.openapi.schemas import Schema
from gateway.relay.selection import Selection
from gateway.relay.wish import EventsWish, HttpWish, Wish
from gateway.relay.words import Words

Credentials = Literal["none", "bearer", "any", "later"]

TEXT: Schema = {"type": "string"}
BYTES: Schema = {}
"""No schema can say anything of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back if all is well."""

    text: str
    json: tuple[type[Any], ...] = ()
    """One of these."""
    others: Mapping[str, Schema] = field(default_factory=dict)
    """By media type."""
    headers: Mapping[str, Schema] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    method: str
    path: str
    name: str
    summary: str
    answers: Mapping[int, Answer]
    text: str = ""
    asked: type[Words] | None = None
    without: tuple[str, ...] = ()
    """Fields of what is asked that an address cannot have."""
    headers: Mapping[str, Schema] = field(default_factory=dict)
    """What the request must have."""
    refusals: tuple[int, ...] = ()
    """Statuses beside those that every operation may have."""
    needs: Credentials = "any"
    """Where the relay asks for tokens."""


STREAM = "/api/v1/streams/{device}/{stream}"

FORMS = {"text/csv": TEXT, "application/x-ndjson": TEXT, "application/cbor-seq": BYTES}

RECOVERED = {
    "type": "string",
    "enum": ["true", "false"],
    "description": "Whether all from the beginning asked for is held; absent if none was.",
}

HANDSHAKE: Mapping[str, Schema] = {
    "Upgrade": {"type": "string", "enum": ["websocket"]},
    "Connection": {"type": "string", "enum": ["Upgrade"]},
    "Sec-WebSocket-Version": {"type": "string", "enum": ["13"]},
    "Sec-WebSocket-Key": {
        "type": "string",
        "pattern": "^[A-Za-z0-9+/]{21}[AQgw]==$",
        "examples": ["dGhlIHNhbXBsZSBub25jZQ=="],
    },
}

OPERATIONS = (
    Operation(
        "get",
        "/api/v1/streams",
        "listStreams",
        "The streams, how far each has come and what was lost",
        {200: Answer("Those that may be read.", (StreamList,))},
    ),
    Operation(
        "get",
        f"{STREAM}/live",
        "readStream",
        "A stream, without an end",
        {200: Answer("A body that just stops was cut off.", (), FORMS, {"Headwater-Recovered": RECOVERED})},
        text="""\
Made for `curl -N`. CSV: time, index and values, a gap as a comment. NDJSON: objects like the `frames` of samples.
CBOR: the messages as they are on MQTT, one after the other (RFC 8742).""",
        asked=HttpWish,
        refusals=(400, 404),
    ),
    Operation(
        "get",
        f"{STREAM}/samples",
        "querySamples",
        "A part of the history, by time, index or count",
        {200: Answer("In order.", (Samples, Points), {**FORMS, "application/octet-stream": BYTES})},
        text="""\
One of: `from` and `to`; `epoch` and `index`, with `count`; `at`, with `before` and `after`; `last`; `last_frames`;
or nothing, for all there is. `npy` is one structured array in NumPy's file format. With `points` it is the least
and the greatest values of stretches; as CBOR that is an envelope for each epoch.""",
        asked=Selection,
        refusals=(400, 404, 413),
    ),
    Operation(
        "get",
        "/api/v1/live",
        "openWebSocket",
        "Streams and envelopes over a WebSocket (RFC 6455)",
        {101: Answer("The WebSocket is open.", headers={"Sec-WebSocket-Accept": {"type": "string"}})},
        text="""\
Control messages are JSON text; every binary message is one of the stream. The parameters are those of the message
`subscribe`, whose schema is `Wish`: they may come later, as may the token. What is wrong with them is told in a
message.""",
        asked=Wish,
        without=("envelope",),
        headers=HANDSHAKE,
        refusals=(400,),
        needs="later",
    ),
    Operation(
        "get",
        "/api/v1/events",
        "listen",
        "What happens beside the samples, as Server-Sent Events",
        {200: Answer("Without an end.", others={"text/event-stream": TEXT})},
        text="""\
`broker`, `status`, `meta`, `health`, `event`, `undecodable`, each with a JSON object; and `missed`, which says how
many were lost to a reader that was too slow.""",
        asked=EventsWish,
        refusals=(400,),
    ),
    Operation(
        "get",
        "/api/v1/session",
        "showSession",
        "What the cookie or the token grants",
        {200: Answer("Also where no tokens are asked for.", (Session,))},
        needs="none",
    ),
    Operation(
        "post",
        "/api/v1/session",
        "logIn",
        "Make a cookie of the token in the header",
        {200: Answer("The cookie opens what the token does, for as long.", (Login,))},
        text="For pages: they can set no header on a WebSocket.",
        needs="bearer",
    ),
    Operation(
        "delete",
        "/api/v1/session",
        "logOut",
        "Take the cookie back",
        {200: Answer("It is gone.", (Login,))},
        needs="none",
    ),
    Operation(
        "get",
        "/api/v1/subscribers",
        "listSubscribers",
        "Who reads, with each one's queue, lag and losses",
        {200: Answer("Those of the worker that answers.", (SubscriberList,))},
        text="For administrators.",
    ),
    Operation(
        "get",
        "/metrics",
        "showMetrics",
        "Figures for Prometheus",
        {200: Answer("As Accept has it.", others={"text/plain": TEXT, "application/openmetrics-text": TEXT})},
        text="For administrators.",
    ),
    Operation(
        "get",
        "/healthz",
        "showHealth",
        "Whether the relay runs",
        {200: Answer("It does.", (Health,))},
        needs="none",
    ),
    Operation(
        "get",
        "/readyz",
        "showReadiness",
        "Whether the relay has its brokers",
        {200: Answer("It has.", (Readiness,)), 503: Answer("It has not.", (Readiness,))},
        needs="none",
    ),
    Operation(
        "get",
        "/api/v1/openapi.json",
        "showDocument",
        "This document",
        {200: Answer("OpenAPI 3.1.", others={"application/json": {"type": "object"}})},
        needs="none",
    ),
)
