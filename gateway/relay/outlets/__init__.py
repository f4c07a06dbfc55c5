"""Ways out of the relay, one file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from gateway.relay.core import Core
from gateway.relay.outlets.events import EventsOutlet
from gateway.relay.outlets.figures import FiguresOutlet
from gateway.relay.outlets.live import LiveOutlet
from gateway.relay.outlets.samples import SamplesOutlet
from gateway.relay.outlets.session import SessionOutlet
from gateway.relay.outlets.stream import StreamOutlet


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
)
