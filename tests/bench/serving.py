"""Servers that fan one stream out, each ready to be measured: ours, brokers, and libraries at their best.

Servers written in Python take the messages from a mosquitto of their own, through paho in their loop; the floor
gets them by plain TCP, mosquitto and nats-server from the publisher itself.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.bench.peering import peers_python
from tests.bench.processes import Part
from tests.bench.publishers import STREAM, TOPIC, MqttPublisher, NatsPublisher, Publisher, SocketPublisher
from tests.support.ports import free_port
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Subject:
    """A server and how its clients talk."""

    name: str
    kind: str
    flavour: str
    """See `readers`."""
    loop: str = "asyncio"


FLOOR = Subject("floor: no MQTT", "floor", "websocket", "uvloop")
BARE = Subject("bare writer", "bare", "websocket")
BARE_UVLOOP = Subject("bare writer, uvloop", "bare", "websocket", "uvloop")
HEADWATER = Subject("headwater", "headwater", "websocket")
HEADWATER_UVLOOP = Subject("headwater, uvloop", "headwater", "websocket", "uvloop")
AIOHTTP = Subject("aiohttp, uvloop", "aiohttp", "websocket", "uvloop")
WEBSOCKETS = Subject("websockets, uvloop", "websockets", "websocket", "uvloop")
PICOWS = Subject("picows, uvloop", "picows", "websocket", "uvloop")
MOSQUITTO = Subject("mosquitto, MQTT", "mosquitto", "mqtt")
MOSQUITTO_WEBSOCKET = Subject("mosquitto, WebSocket", "mosquitto", "mqtt-websocket")
NATS = Subject("nats-server", "nats", "nats")
NATS_WEBSOCKET = Subject("nats-server, WebSocket", "nats", "nats-websocket")
OUTER = (AIOHTTP, WEBSOCKETS, PICOWS, MOSQUITTO, MOSQUITTO_WEBSOCKET, NATS, NATS_WEBSOCKET)
"""Servers of others."""


@dataclass(slots=True)
class Served:
    """A server that runs, a publisher that is connected to it, and where its clients go."""

    subject: Subject
    server: Part
    publisher: Publisher
    port: int
    topic: str


def topic_of(subject: Subject, stream: str) -> str:
    """What a client asks for to get the stream."""
    match subject.flavour:
        case "websocket":
            return stream
        case "nats" | "nats-websocket":
            return NatsPublisher.SUBJECT if stream == STREAM else stream.replace("/", ".")
    return TOPIC.replace(STREAM.replace("/", "/stream/"), stream.replace("/", "/stream/"))


def available(subject: Subject) -> bool:
    """Whether the server is installed here."""
    return subject.kind != "nats" or shutil.which("nats-server") is not None


MISSING = "nats-server is not installed here; on Debian: apt-get install nats-server"


@contextmanager
def serving(
    subject: Subject,
    frames: int,
    *settings: str,
    outlet: str | None = None,
    as_it_is: bool = False,
    publisher: type[MqttPublisher] | None = None,
) -> Iterator[Served]:
    """The server of a subject, to be given messages of so many frames.

    `settings`, `key=value`, and `outlet` are ours alone; `as_it_is` leaves a library the keep-alive that it has on
    its own; `publisher` is who publishes to MQTT, if not the usual one.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        source, port = free_port(), free_port()
        if subject.kind == "nats":
            server = stack.enter_context(_nats(Path(folder), source, port))
            publishing: Publisher = NatsPublisher(frames)
        elif subject.kind == "floor":
            server = stack.enter_context(_peer(subject, source, port, as_it_is))
            publishing = SocketPublisher(frames)
        else:
            broker = stack.enter_context(_mosquitto(Path(folder), source, port, subject.flavour))
            broker.wait_for_port(source)
            publishing = (publisher or MqttPublisher)(frames)
            if subject.kind == "mosquitto":
                server = broker
            elif subject.kind == "headwater":
                config = _relay_config(Path(folder), source, port, subject.loop, outlet)
                sets = [part for setting in settings for part in ("--set", setting)]
                server = stack.enter_context(_headwater(config, sets))
            else:
                server = stack.enter_context(_peer(subject, source, port, as_it_is))
        if subject.flavour in ("mqtt", "nats"):
            port = source
        server.wait_for_port(source if subject.kind in ("nats", "floor") else port)
        server.wait_for_port(port)
        if subject.kind == "headwater":
            wait_until(lambda: _hears(port), "the relay's connection to its broker")
        publishing.connect(source)
        stack.callback(publishing.close)
        yield Served(subject, server, publishing, port, topic_of(subject, STREAM))


def _mosquitto(folder: Path, source: int, port: int, flavour: str) -> Part:
    text = f"listener {source} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
    if flavour == "mqtt-websocket":
        text += f"listener {port} 127.0.0.1\nprotocol websockets\n"
    config = folder / "mosquitto.conf"
    config.write_text(text, encoding="utf-8")
    return Part("mosquitto", "-c", str(config))


def _nats(folder: Path, source: int, port: int) -> Part:
    config = folder / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{source}"\nwebsocket {{ listen: "127.0.0.1:{port}", no_tls: true }}\n',
        encoding="utf-8",
    )
    return Part("nats-server", "-c", str(config))


def _relay_config(folder: Path, source: int, port: int, loop: str, outlet: str | None) -> Path:
    config = folder / "relay.toml"
    config.write_text(
        f'[relay]\nlisten = "127.0.0.1:{port}"\nloop = "{loop}"\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{source}"\n'
        f'[history]\ndirectory = "{folder / "history"}"\n{outlet or ""}',
        encoding="utf-8",
    )
    return config


def _headwater(config: Path, settings: list[str]) -> Part:
    return Part(sys.executable, "-m", "gateway", "relay", str(config), *settings)


def _hears(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except HTTPError:
        return False


def _peer(subject: Subject, source: int, port: int, as_it_is: bool) -> Part:
    script = Path(__file__).parent / "peers" / "server.py"
    options = ["as-it-is"] if as_it_is else []
    return Part(
        *(str(peers_python()), str(script), subject.kind, subject.loop, str(source), TOPIC, str(port)), *options
    )
