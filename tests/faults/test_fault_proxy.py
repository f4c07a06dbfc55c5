"""Each fault of the proxy, seen from both ends of a connection through it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.faults.proxy import FaultProxy

PATIENCE_S = 20.0


@dataclass
class Echo:
    """A server that sends back what it gets, and remembers it in the pieces in which it came."""

    pieces: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connections: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.pieces.append(data)
                connection.sendall(data)

    def break_off(self) -> None:
        """Reset all connections."""
        for connection in self.connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RD)
            connection.close()

    @property
    def heard(self) -> bytes:
        return b"".join(self.pieces)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
    server.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.port) as made:
        yield made


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"hello")
        assert receive(connection, 5) == b"hello"
        yield connection


def receive(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes."""
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, f"the connection ended after {len(data)} of {size} bytes"
        data += piece
    return data


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing comes for a moment."""
    connection.settimeout(0.1)
    try:
        return not connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE_S)


def is_refused(proxy: FaultProxy) -> bool:
    """Whether a new connection is reset before it can be used."""
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S) as connection:
            return not connection.recv(1)
    except ConnectionError:
        return True


def test_it_passes_everything_on(client: socket.socket, proxy: FaultProxy) -> None:
    data = bytes(range(256)) * 8192
    threading.Thread(target=client.sendall, args=(data,)).start()
    assert receive(client, len(data)) == data
    assert proxy.bytes == {"up": len(data) + 5, "down": len(data) + 5}
    assert (proxy.connections, proxy.open) == (1, 1)


def test_latency_delays_both_ways(client: socket.socket, proxy: FaultProxy) -> None:
    proxy.faults.latency_s = 0.1
    begun = time.monotonic()
    client.sendall(b"x")
    assert receive(client, 1) == b"x"
    assert time.monotonic() - begun >= 0.2


def test_jitter_keeps_the_order(client: socket.socket, proxy: FaultProxy, echo: Echo) -> None:
    proxy.faults.jitter_s = 0.01
    for number in range(50):
        client.sendall(bytes([number]))
        time.sleep(0.001)
    assert receive(client, 50) == bytes(range(50))


def test_slices_arrive_as_tiny_segments(client: socket.socket, proxy: FaultProxy, echo: Echo) -> None:
    proxy.faults.slice_bytes = 1
    client.sendall(b"abcdefgh" * 10)
    assert receive(client, 80) == b"abcdefgh" * 10
    assert len(echo.pieces) > 10


def test_the_bandwidth_is_limited(client: socket.socket, proxy: FaultProxy) -> None:
    proxy.faults.bytes_per_s = 100_000
    proxy.faults.slice_bytes = 1000
    begun = time.monotonic()
    client.sendall(bytes(20_000))
    receive(client, 20_000)
    assert time.monotonic() - begun >= 0.19


def test_a_stall_holds_everything_back_until_it_ends(client: socket.socket, proxy: FaultProxy, echo: Echo) -> None:
    proxy.faults.stall_up = True
    client.sendall(b"wait")
    assert is_silent(client)
    assert echo.heard == b"hello"
    proxy.heal()
    assert receive(client, 4) == b"wait"


def test_a_stall_fills_the_sender_s_buffers(client: socket.socket, proxy: FaultProxy) -> None:
    proxy.faults.stall_up = True
    client.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 1 << 30:
            sent += client.send(bytes(1 << 16))
    assert sent < 1 << 30


def test_a_half_open_connection_swallows_without_a_word(
    client: socket.socket, proxy: FaultProxy, echo: Echo
) -> None:
    proxy.faults.swallow_up = proxy.faults.swallow_down = True
    client.sendall(b"gone")
    assert is_silent(client)
    proxy.heal()
    client.sendall(b"here")
    assert receive(client, 4) == b"here"
    assert echo.heard == b"hellohere"


def test_a_cut_ends_connections_in_the_ordinary_way(client: socket.socket, proxy: FaultProxy) -> None:
    assert proxy.cut() == 1
    assert client.recv(1) == b""


def test_a_reset_ends_them_with_an_error(client: socket.socket, proxy: FaultProxy) -> None:
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_new_connections_work_after_a_cut_and_not_while_refused(client: socket.socket, proxy: FaultProxy) -> None:
    proxy.reset()
    proxy.faults.refuse = True
    assert is_refused(proxy)
    proxy.heal()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S) as again:
        again.sendall(b"back")
        assert receive(again, 4) == b"back"


def test_a_target_that_breaks_off_is_seen_by_the_client(
    client: socket.socket, proxy: FaultProxy, echo: Echo
) -> None:
    echo.break_off()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    client.close()
    while proxy.open:
        time.sleep(0.001)


def test_an_end_is_passed_on_and_the_other_direction_still_works(client: socket.socket, echo: Echo) -> None:
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert receive(client, 4) == b"last"
    assert client.recv(1) == b""


def test_without_a_target_connections_are_reset() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and nobody listens
        with FaultProxy(reserved.getsockname()[1]) as proxy:
            assert is_refused(proxy)


def test_closing_leaves_nothing_behind(echo: Echo) -> None:
    before = threading.active_count()
    with FaultProxy(echo.port) as proxy:
        connection = socket.create_connection(("127.0.0.1", proxy.port))
        proxy.faults.stall_up = proxy.faults.stall_down = True
        connection.sendall(b"x")
    connection.close()
    assert not any(thread.name == "fault-proxy" for thread in threading.enumerate())
    assert threading.active_count() <= before + 1
