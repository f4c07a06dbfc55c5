"""A relay in a process of its own that is attacked over real sockets, and what tells whether it is still well."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

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
AGAIN_S = 2.0
"""A batch that does not come is published again: the broker has dropped it, behind a flood in its queue."""
STREAM = "bbb1/ecg"
SETTINGS = {
    "relay.handshake": "1s",
    "relay.queue": "256KiB",
    "history.disk": "0",
    "history.memory_bytes": "1MiB",
}
TROUBLE = re.compile(r"Traceback|ERROR|CRITICAL|never (?:retrieved|awaited)|Exception")

topics = Topics()


def masked(opcode: int, payload: bytes, *, first: int = 0x80, size: int | None = None) -> bytes:
    """A client's WebSocket frame; `size` is a lie about its length."""
    mask, size = b"\1\2\3\4", len(payload) if size is None else size
    covered = bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
    if size < 126:
        return struct.pack("!BB", first | opcode, 0x80 | size) + mask + covered
    if size < 1 << 16:
        return struct.pack("!BBH", first | opcode, 0xFE, size) + mask + covered
    return struct.pack("!BBQ", first | opcode, 0xFF, size) + mask + covered


def command(**content: Any) -> bytes:
    """A control message in a client's frame."""
    return masked(1, json.dumps(content).encode())


class Besieged:
    """The relay, its broker, and a device that publishes to it."""

    before_subscribing = b""
    """What a healthy viewer says first."""

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

    def check(self, growth_bytes: int = GROWTH_BYTES) -> None:
        """The relay runs, has logged no trouble, has not grown, and serves a viewer that does as it should."""
        assert self.process.running, self.process
        logged, self._read = self.process.err[self._read :], len(self.process.err)
        found = TROUBLE.search(logged)
        assert found is None, logged[max(0, found.start() - 2000) : found.start() + 4000]
        with self.connected() as viewer:
            FLAVOURS["websocket"].greet(viewer, "bbb1/none")
            viewer.sendall(self.before_subscribing + command(type="subscribe", stream=STREAM))
            self._serves(viewer)
        grown = self._about.memory_info().rss - getattr(self, "memory_bytes", sys.maxsize)
        assert grown < growth_bytes, f"grown by {grown / 2**20:.1f} MiB"

    def answers(self) -> None:
        """It says that it is well, on a connection of its own."""
        answer = self.say(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert b'"status": "ok"' in answer

    @contextmanager
    def connected(self, port: int | None = None) -> Iterator[socket.socket]:
        """A connection to the relay, or to an outlet that has a port of its own."""
        with socket.create_connection(("127.0.0.1", port or self.port), PATIENCE_S) as connection:
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
        data = b""
        while not any(json.loads(text).get("stream") == STREAM for opcode, text in frames_in(data) if opcode == 1):
            data += viewer.recv(4096)
        # what is new, whatever the attack has published in the epoch before
        self._sent += 10
        payload = CODECS["cbor"].encode(batch(self._sent, 10, epoch=1 << 40))
        viewer.settimeout(AGAIN_S)
        for _ in range(int(PATIENCE_S / AGAIN_S)):
            self.device.publish(topics.batch(*STREAM.split("/")), payload)
            with contextlib.suppress(TimeoutError):
                while payload not in [content for opcode, content in frames_in(data) if opcode == 2]:
                    part = viewer.recv(4096)
                    assert part, "the viewer was cut off"
                    data += part
                return
        raise AssertionError("a healthy viewer gets nothing")


Relay = TypeVar("Relay", bound=Besieged)


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the connection ends, or is silent for as long as its timeout."""
    data = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := connection.recv(1 << 16):
            data += part
    return data


@contextmanager
def besieged(
    folder: Path, kind: type[Relay], settings: Mapping[str, str] | None = None, config: str = ""
) -> Iterator[Relay]:
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
            wanted = topics.everything_for_relay()
            wait_until(lambda: all(f"1 {topic}\n" in broker.log for topic in wanted), "the relay's subscriptions")
            yield kind(process, port, broker, device)
            assert process.terminate() == 0, process
