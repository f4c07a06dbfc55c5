"""`python -m tests.bench.readers FLAVOUR PORT TOPIC COUNT SIZE`: many clients in one process, none a library's.

They look for the mark that each message begins with and for the time after it, and know nothing of what is around
it. Prints `ready` when all are subscribed. `begin` on standard input has them count from then on; after `report`
comes a line with a JSON object: deliveries, the fewest that one client had, and latencies.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.greetings import FLAVOURS, Flavour, answer_to
from tests.bench.publishers import MARK, TIME_AT

SETTLE_S = 0.5
AT_A_TIME = 20
"""How many clients connect at the same time."""
ALIVE_S = 15.0
"""How often a client says that it is there."""


class Clients:
    """All connections, and what came over them."""

    def __init__(self, flavour: Flavour, port: int, topic: str, count: int, size: int) -> None:
        self._alive = flavour.alive
        self._pings = flavour is FLAVOURS["websocket"]
        self._alive_s = time.monotonic()
        self._size = size - 1
        """Of a message from its mark on."""
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        self.counts: dict[int, int] = {}
        self.latencies: list[int] = []
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for client in pool.map(lambda _: _connected(flavour, port, topic), range(count)):
                handle = client.fileno()
                self._sockets[handle], self._rest[handle] = client, b""
                self._poll.register(handle, select.EPOLLIN)
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self.counts = dict.fromkeys(self._sockets, 0)
        self.latencies = []

    def settle(self) -> None:
        """Throw away what the server says before the first message."""
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            for handle, _ in self._poll.poll(0.1):
                self._sockets[handle].recv(1 << 16)

    def run(self) -> None:
        """Count, and do as standard input says, until it ends."""
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)
        while True:
            for handle, _ in self._poll.poll(1):
                if handle != sys.stdin.fileno():
                    self._read(handle)
                    continue
                match sys.stdin.readline().strip():
                    case "begin":
                        self.begin()
                    case "report":
                        print(json.dumps(self.report()), flush=True)
                    case _:
                        return
            self._say_that_they_are_there()

    def report(self) -> dict[str, float]:
        """What came since the beginning."""
        ordered = sorted(self.latencies) or [0]
        return {
            "deliveries": sum(self.counts.values()),
            "fewest": min(self.counts.values(), default=0),
            "p50_ms": ordered[len(ordered) // 2] / 1e6,
            "p99_ms": ordered[len(ordered) * 99 // 100] / 1e6,
        }

    def _read(self, handle: int) -> None:
        try:
            data = self._sockets[handle].recv(1 << 20)
        except BlockingIOError:
            return
        if not data:
            self._poll.unregister(handle)
            return
        now = time.time_ns()
        if self._pings and (answer := answer_to(data)):
            self._sockets[handle].send(answer)
        data = self._rest[handle] + data
        at, count, done = data.find(MARK), 0, 0
        while 0 <= at <= len(data) - self._size:
            (sent,) = struct.unpack_from("!Q", data, at + TIME_AT)
            self.latencies.append(now - sent)
            count += 1
            done = at + self._size
            at = data.find(MARK, done)
        self.counts[handle] += count
        self._rest[handle] = data[at if at >= 0 else max(done, len(data) - len(MARK) + 1) :]

    def _say_that_they_are_there(self) -> None:
        now = time.monotonic()
        if not self._alive or now - self._alive_s < ALIVE_S:
            return
        self._alive_s = now
        for client in self._sockets.values():
            try:
                client.send(self._alive)
            except OSError:
                continue  # its end is noticed by what it does not read


def _connected(flavour: Flavour, port: int, topic: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    flavour.greet(client, topic)
    client.setblocking(False)
    return client


def main() -> None:
    """Connect, count, report."""
    flavour, port, topic, count, size = sys.argv[1:]
    clients = Clients(FLAVOURS[flavour], int(port), topic, int(count), int(size))
    clients.settle()
    print("ready", flush=True)
    clients.run()


if __name__ == "__main__":
    main()
