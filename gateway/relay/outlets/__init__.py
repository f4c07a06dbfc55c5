"""Ways out of the relay, one file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from aiohttp import web

from gateway.relay.core import Core
from gateway.relay.outlets.events import EventsOutlet
from gateway.relay.outlets.figures import FiguresOutlet
from gateway.relay.outlets.live import LiveOutlet
from gateway.relay.outlets.openapi import OpenApiOutlet
from gateway.relay.outlets.samples import SamplesOutlet
from gateway.relay.outlets.session import SessionOutlet
from gateway.relay.outlets.stream import StreamOutlet
from gateway.relay.outlets.tcp import TcpOutlet
from gateway.relay.outlets.zmq import ZmqOutlet


class HttpOutlet(Protocol):
    """Something that answers HTTP requests."""

    def routes(self) -> list[web.RouteDef]:
        """Where it is."""


HTTP_OUTLETS: tuple[Callable[[Core], HttpOutlet], ...] = (
    LiveOutlet,
    StreamOutlet,
    SamplesOutlet,
    EventsOutlet,
    FiguresOutlet,
    SessionOutlet,
    OpenApiOutlet,
)


class FeedOutlet(Protocol):
    """Something that gives one stream away at an address of its own."""

    shared: ClassVar[bool]
    """Whether each worker has one, at the same address; or else only the first."""

    def __init__(self, core: Core, settings: Any) -> None: ...

    async def open(self) -> None:
        """Listen; raises ListenError, or ConfigError if a package is missing."""

    def close(self) -> None:
        """Listen no more; the clients of the core are ended by the relay."""


FEED_OUTLETS: dict[str, type[FeedOutlet]] = {
    "tcp": TcpOutlet,
    "zmq": ZmqOutlet,
}
"""By the `type` of an `[[outlet]]`, whose settings each one gets."""
