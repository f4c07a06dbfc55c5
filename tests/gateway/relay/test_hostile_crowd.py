"""More connections than the relay takes: those too many are told so, the others are served, and go again."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.bench.greetings import FLAVOURS
from tests.gateway.relay.siege import GROWTH_BYTES, STREAM, Besieged, besieged, rest_of
from tests.support.ports import free_port
from tests.support.wires import frames_in

LIMIT = 2000
BEYOND = 100
EACH_BYTES = 20 << 10
"""What a connection may cost; about 4 KiB are usual (docs/performance.md)."""
FILES = 3 * LIMIT


@pytest.fixture(scope="module", autouse=True)
def _enough_files() -> None:
    """For this process and the relay, which inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


class Crowded(Besieged):
    """A relay with a TCP outlet beside its port."""

    tcp_port = 0


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowded]:
    port = free_port()
    limits = {
        "relay.connections": str(LIMIT + 1),
        "relay.connections_per_address": str(LIMIT),
        "relay.handshake": "60s",
    }
    outlet = f'[[outlet]]\ntype = "tcp"\nlisten = "127.0.0.1:{port}"\nstream = "{STREAM}"\n'
    with besieged(tmp_path_factory.mktemp("relay"), Crowded, limits, outlet) as running:
        running.tcp_port = port
        yield running


@contextmanager
def crowd(relay: Besieged, count: int) -> Iterator[list[socket.socket]]:
    """So many connections."""
    with ExitStack() as stack:
        yield [stack.enter_context(relay.connected()) for _ in range(count)]


@pytest.mark.slow
def test_up_to_the_limit_all_are_served_and_beyond_it_each_is_told(relay: Crowded) -> None:
    """A third says nothing, a third watches the stream, a third reads events; a healthy one comes last."""
    with crowd(relay, LIMIT - 1) as connections:
        viewers, readers = connections[::3], connections[1::3]
        for connection in viewers:
            FLAVOURS["websocket"].greet(connection, STREAM)
        for connection in readers:
            connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b" 200 OK" in connection.recv(100)
        relay.check(GROWTH_BYTES + LIMIT * EACH_BYTES)
        with relay.connected() as last:
            FLAVOURS["websocket"].greet(last, "bbb1/none")
            for _ in range(BEYOND):
                answer = relay.provoke(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 5)
                assert answer.startswith(b"HTTP/1.1 503 "), answer
                assert b"Retry-After" in answer
            with relay.connected(relay.tcp_port) as refused:
                assert json.loads(rest_of(refused).splitlines()[0])["error"]["code"] == "limit"
        assert all(got_a_batch(connection) for connection in viewers)
    relay.check(GROWTH_BYTES + LIMIT * EACH_BYTES)


def test_who_comes_and_goes_all_the_time_leaves_nothing_behind(relay: Crowded) -> None:
    started = time.monotonic()
    for number in range(3000):
        with relay.connected() as connection:
            if number % 3:
                connection.sendall(
                    b"GET /api/v1/live?stream=bbb1/ecg HTTP/1.1\r\nHost: 127.0.0.1\r\n"[: number % 70]
                )
        if time.monotonic() - started > 10:
            break
    relay.check(GROWTH_BYTES + LIMIT * EACH_BYTES)


def got_a_batch(connection: socket.socket) -> bool:
    """Whether a message of the stream has come, or comes soon."""
    data = b""
    while not any(opcode == 2 for opcode, _ in frames_in(data)):
        part = connection.recv(1 << 16)
        assert part, "it was cut off"
        data += part
    return True
