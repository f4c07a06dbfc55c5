"""A relay in a process of its own that is attacked over real sockets, and what tells whether it is still well."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from gateway.codec import CODECS
from gateway.topics import Topics
from tests.bench.greetings import FLAVOURS
from tests.support.messages import batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.processes import RunningProcess, clean_environment
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.wires import frames_in

GROWTH_BYTES = 32 << 20
"""What an attack may leave behind in memory, allocator and all."""
LULL_S = 0.05
STREAM = "bbb1/ecg"
SETTINGS = {
    "relay.handshake": "1s",
    "relay.queue": "256KiB",
    "history.disk": "0",
    "history.memory_bytes": "1MiB",
}
TROUBLE = re.compile(r"Traceback|ERROR|CRITICAL|never (?:retrieved|awaited)|Exception")

topics = Topics()


class Besieged:
    """The relay, its broker, and a device that publishes to it."""

    def __init__(self, process: RunningProcess, port: int, broker: Mosquitto, device: Peer) -> None:
        self.process = process
        self.port = port
        self.broker = broker
        self.device = device
        self._sent = 0
        self._read = 0
        """How much of the log has been looked at."""
        self._about = psutil.Process(process.pid)
        self.check()
        self.memory_bytes = self._about.memory_info().rss

    def check(self) -> None:
        """The relay runs, has logged no trouble, has not grown, and serves a viewer that does as it should."""
        assert self.process.running, self.process
        logged, self._read = self.process.err[self._read :], len(self.process.err)
        found = TROUBLE.search(logged)
        assert found is None, logged[max(0, found.start() - 2000) : found.start() + 4000]
        with self.connected() as viewer:
            FLAVOURS["websocket"].greet(viewer, STREAM)
            self._serves(viewer)
        grown = self._about.memory_info().rss - getattr(self, "memory_bytes", sys.maxsize)
        assert grown < GROWTH_BYTES, f"grown by {grown / 2**20:.1f} MiB"

    def answers(self) -> None:
        """It says that it is well, on a connection of its own."""
        answer = self.say(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert b'"status": "ok"' in answer

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A connection to the relay."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            yield connection

    def say(self, data: bytes) -> bytes:
        """Say all of it on a connection of its own; everything that is answered until the relay closes it."""
        with self.connected() as connection:
            with contextlib.suppress(ConnectionError):  # whoever has heard enough closes before the end
                connection.sendall(data)
            return rest_of(connection)

    def provoke(self, data: bytes, lull_s: float = LULL_S) -> bytes:
        """The same, but for answers that may have no end: until nothing has come for a moment."""
        with self.connected() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
            connection.settimeout(lull_s)
            return rest_of(connection)

    def _serves(self, viewer: socket.socket) -> None:
        data, payload = b"", b""
        while not any(json.loads(text)["type"] == "subscribed" for opcode, text in frames_in(data) if opcode == 1):
            data += viewer.recv(4096)
        # what is new, whatever the attack has published in the epoch before
        self._sent += 10
        payload = CODECS["cbor"].encode(batch(self._sent, 10, epoch=1 << 40))
        self.device.publish(topics.batch(*STREAM.split("/")), payload)
        while payload not in [content for opcode, content in frames_in(data) if opcode == 2]:
            part = viewer.recv(4096)
            assert part, "the viewer was cut off"
            data += part


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the connection ends, or is silent for as long as its timeout."""
    data = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := connection.recv(1 << 16):
            data += part
    return data


@contextmanager
def besieged(
    folder: Path, settings: Mapping[str, str] | None = None, *, config: str = "", viewable: bool = True
) -> Iterator[Besieged]:
    """A relay that hears what is published."""
    port = free_port()
    with Mosquitto(folder, quiet=True, settings={"log_type": "subscribe", "log_dest": "stderr"}) as broker:
        given = {
            **SETTINGS,
            "relay.listen": f"127.0.0.1:{port}",
            "mqtt.url": broker.url,
            **(settings or {}),
        }
        path = folder / "relay.toml"
        path.write_text(config, encoding="utf-8")
        sets = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
        environment = {**clean_environment(), "XDG_STATE_HOME": str(folder)}
        command = [sys.executable, "-m", "gateway", "relay", str(path), *sets]
        with RunningProcess(command, environment) as process, Peer(broker.port) as device:
            process.wait_for("broker: connected")
            wait_until(
                lambda: broker.log.count("Sending SUBACK") >= len(topics.everything_for_relay()) or broker.log,
                "the relay's subscriptions",
            )
            yield Besieged(process, port, broker, device)
            assert process.terminate() == 0, process
