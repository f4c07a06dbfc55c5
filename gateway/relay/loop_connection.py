"""A connection to the broker whose network work is done by the event loop.

In paho's own thread a message costs the most before anybody looks at it: two threads wake each other and the
interpreter's lock changes hands. And what the loop has no time to read stays with the broker.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from paho.mqtt import client as paho

from gateway.mqtt import Connection
from gateway.relay.loop_client import LoopClient

MISC_S = 1.0
"""How often paho looks after the keep-alive."""


class LoopConnection(Connection):
    """As Connection, but its handlers are called in the event loop, save for `on_refused`.

    Make it in the loop. A thread only waits: for the connection to be made, and for it to end.
    """

    client_class = LoopClient

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def _drive(self, client: paho.Client) -> None:
        assert isinstance(client, LoopClient)
        client.take = self._handlers.on_message
        self._loop.call_soon_threadsafe(self._attach, client)

    def _disconnect(self, client: paho.Client) -> None:
        self._loop.call_soon_threadsafe(client.disconnect)

    def _release(self, client: paho.Client) -> None:
        self._loop.call_soon_threadsafe(self._detach, client)

    def _attach(self, client: LoopClient) -> None:
        connected = client.socket()
        if connected is None:
            return
        client.on_socket_close = lambda _, __, closing: self._forget(closing)
        self._loop.add_reader(connected.fileno(), self._read, client)
        self._misc(client)

    def _detach(self, client: paho.Client) -> None:
        connected = client.socket()
        if connected is not None:
            self._forget(connected)
        if self._timer is not None:
            self._timer.cancel()

    def _forget(self, closing: Any) -> None:
        self._loop.remove_reader(closing.fileno())
        self._loop.remove_writer(closing.fileno())

    def _read(self, client: LoopClient) -> None:
        client.receive()
        while _pending(client.socket()):
            client.receive()
        if client.want_write():
            self._write(client)

    def _write(self, client: paho.Client) -> None:
        client.loop_write()
        connected = client.socket()
        if connected is None:
            return
        if client.want_write():
            self._loop.add_writer(connected.fileno(), self._write, client)
        else:
            self._loop.remove_writer(connected.fileno())

    def _misc(self, client: paho.Client) -> None:
        if client.socket() is None:
            return
        client.loop_misc()
        self._timer = self._loop.call_later(MISC_S, self._misc, client)


def _pending(connected: Any) -> bool:
    """Whether TLS has read more than it was asked for, of which the socket says nothing."""
    return isinstance(connected, ssl.SSLSocket) and connected.pending() > 0
