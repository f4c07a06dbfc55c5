"""A connection as the hub's sink.

While nothing waits in the transport, bytes go to the socket with one system call, past the transport: that is half
a microsecond less for each delivery. What the socket does not take goes to the transport, which says when it is
gone.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from gateway.relay.delivery import Form
from gateway.relay.subscriber import Policy, Subscriber

CLOSE_S = 1.0
"""How long a client may take to read the last bytes and close."""
TLS_HIGH_BYTES = 64 << 10
"""How much may wait in a TLS transport, which is not written to past it."""
UNSENT_BYTES = 128 << 10
"""How much may wait in the kernel beyond what is on its way; it would hold megabytes, all older than any gap."""
LOOK_S = 0.02
"""How often a transport is asked whether that is gone of which it says nothing by itself."""
KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}
"""A peer that vanished without a word is noticed after two minutes."""


class Pipe(asyncio.Protocol):
    """One client that gets a feed. Give it to the transport as its protocol.

    May be overridden: `data_received`; `connection_lost`, calling this one; `end`.
    """

    def __init__(
        self, transport: asyncio.Transport, form: Form, bound: int, policy: Policy = "drop_oldest"
    ) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._paused = transport.get_write_buffer_size() > 0
        self._handle = _handle_of(transport)
        self.closed = False
        transport.set_write_buffer_limits(0 if self._handle is not None else TLS_HIGH_BYTES, 0)
        self.subscriber = Subscriber(self, form, bound, policy)
        if self._paused and self._handle is None:
            self._loop.call_soon(self._look_for_room)

    def send(self, wire: bytes) -> bool:
        """Take the bytes; whether more may follow."""
        if self._handle is None or self._paused:
            if not self._transport.is_closing():
                self._transport.write(wire)
            return not self._paused
        try:
            sent = os.write(self._handle, wire)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._handle = None  # the peer is gone; the transport finds out by itself
            return True
        if sent == len(wire):
            return True
        self._transport.write(wire[sent:])
        return not self._paused

    def end(self, reason: str) -> None:
        """Send the client away; what waits is not sent any more."""
        self.close()

    def soon(self, work: Callable[[], None]) -> None:
        """Do the work after the others had their turn."""
        self._loop.call_soon(work)

    def close(self, last: bytes = b"") -> None:
        """Say the last bytes and close; a client that does not read them is cut off."""
        if self.closed or self._transport.is_closing():
            return
        if last:
            self.send(last)
        self._handle = None
        self._transport.close()
        self._loop.call_later(CLOSE_S, self._transport.abort)

    def pause_writing(self) -> None:
        self._paused = True  # the next `send` says so

    def resume_writing(self) -> None:
        self._paused = False
        self.subscriber.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._handle = None

    def _look_for_room(self) -> None:
        """What waited before this protocol was there, such as TLS's own messages, may go without a word."""
        if not self._paused or self.closed:
            return
        if self._transport.get_write_buffer_size():
            self._loop.call_later(LOOK_S, self._look_for_room)
        else:
            self.resume_writing()


def _handle_of(transport: asyncio.Transport) -> int | None:
    """The socket's file descriptor, if what is written to it needs no more work on the way."""
    handle = transport.get_extra_info("socket")
    if handle is None:
        return None
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if handle.family in (socket.AF_INET, socket.AF_INET6):
        for option, value in {**KEEPALIVE, socket.TCP_NOTSENT_LOWAT: UNSENT_BYTES}.items():
            handle.setsockopt(socket.IPPROTO_TCP, option, value)
    return int(handle.fileno()) if transport.get_extra_info("sslcontext") is None else None
