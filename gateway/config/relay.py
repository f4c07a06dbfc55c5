"""The tables of a relay, and who may reach it from elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from boards.options import Options
from gateway.config.words import address, host_of, port_of, readable_file
from gateway.errors import TopicError
from gateway.mqtt_settings import MqttSettings
from gateway.quantities import Duration, Size
from gateway.topics import split_stream_key

MOST_WORKERS = 256


def parse_workers(value: Any) -> int:
    """How many processes; `"auto"` is one for each CPU that this process may use. Raises ValueError."""
    if value == "auto":
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    text = str(value)
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MOST_WORKERS:
        raise ValueError(f"must be a number of processes from 1 to {MOST_WORKERS}, or 'auto'")
    return int(text)


LOOPBACK = ("127.0.0.1", "::1", "localhost")
ONLY_LOOPBACK = f"must be on a loopback address ({', '.join(LOOPBACK)})"
WITHOUT_LOGIN = "as long as there is no login: set auth.secret_file or auth.public_key, or relay.insecure = true"
WhenFull = Literal["drop_oldest", "decimate", "disconnect"]
"""What happens to a subscriber whose queue is full."""


class RelaySettings(Options):
    """The `[relay]` table."""

    listen: str = "127.0.0.1:8080"
    insecure: bool = False
    """Whether anybody who can reach the address may read everything."""
    cert: Path | None = None
    key: Path | None = None
    origins: tuple[str, ...] = ()
    """Where pages that may use the API come from, beside the relay itself: `https://scope.example`."""
    queue: Size = 4 << 20
    """The bound of each subscriber's queue."""
    policy: WhenFull = "drop_oldest"
    """What happens to a subscriber whose queue is full, unless it asks for something else."""
    hold: Duration = 10.0
    """How long a subscriber that wants everything in order waits for what is missing."""
    connections: int = Field(default=5000, ge=1)
    connections_per_address: int = Field(default=1000, ge=1)
    handshake: Duration = 10.0
    """How long a client may take to say what it wants and who it is."""
    loop: Literal["auto", "asyncio", "uvloop"] = "auto"
    """The event loop: `auto` is uvloop where it is installed."""
    workers: Annotated[int, BeforeValidator(parse_workers)] = 1
    """How many processes serve the ports together."""

    _check_listen = field_validator("listen")(address)

    @field_validator("origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError("must be origins such as 'https://scope.example', without a path")
        return origins

    _check_files = field_validator("cert", "key")(readable_file)

    @property
    def host(self) -> str:
        """The address to listen on."""
        return host_of(self.listen)

    @property
    def port(self) -> int:
        """The port to listen on."""
        return port_of(self.listen)

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the address."""
        return self.host in LOOPBACK


class HistorySettings(Options):
    """The `[history]` table."""

    memory: Duration = 300.0
    """How much of each stream is kept in memory."""
    memory_bytes: Size = 64 << 20
    """Of all streams together."""
    disk: Size | Literal[0] = 2 << 30
    """Of all streams together; 0: none."""
    directory: Path | None = None
    """Where it is kept; systemd's StateDirectory or the user's, if not given."""


class AuthSettings(Options):
    """The `[auth]` table: what tokens are signed with."""

    secret_file: Path | None = None
    """A file with a secret of at least 32 bytes, for HS256; what it signs, it also checks."""
    public_key: Path | None = None
    """A PEM file with an RSA, EC or Ed25519 public key: tokens are made elsewhere."""

    _check_files = field_validator("secret_file", "public_key")(readable_file)

    @property
    def wanted(self) -> bool:
        """Whether tokens are asked for."""
        return self.secret_file is not None or self.public_key is not None


class SourceSettings(MqttSettings):
    """The `[mqtt]` table of a relay, or one of several `[[mqtt]]`."""

    client_id: str = ""
    """What the broker knows the relay by, and keeps its messages for; made of host, port and root if empty."""
    persistent: bool = True
    """Whether the broker keeps messages while the relay is away."""
    protocol: Literal["auto", "5", "3.1.1"] = "3.1.1"
    """The relay uses nothing of what MQTT 5 adds, and every message would be longer by its properties."""


class OutletSettings(Options):
    """What every `[[outlet]]` table has."""

    stream: str
    """`device/stream`."""

    @field_validator("stream")
    @classmethod
    def _check_stream(cls, stream: str) -> str:
        try:
            split_stream_key(stream)
        except TopicError as error:
            raise ValueError(str(error)) from None
        return stream


class ZmqSettings(OutletSettings):
    """An `[[outlet]]` table of type `zmq`."""

    type: Literal["zmq"]
    bind: str
    """ZeroMQ's address, such as `tcp://127.0.0.1:9999`."""
    mode: Literal["pub", "push"] = "pub"
    every: int = Field(default=1, ge=1)
    """Of how many batches one is sent, whole."""

    @field_validator("bind")
    @classmethod
    def _check_bind(cls, bind: str) -> str:
        if not re.fullmatch(r"tcp://[^/\s]+:[0-9]{1,5}|ipc://\S+", bind):
            raise ValueError("must be tcp://address:port or ipc://path")
        return bind

    def exposed(self, _: AuthSettings) -> str | None:
        """Why anybody could read this from elsewhere; None if not."""
        if self.bind.startswith("ipc://") or host_of(self.bind.removeprefix("tcp://")) in LOOPBACK:
            return None
        return f"bind: {ONLY_LOOPBACK}, as ZeroMQ has no login, unless relay.insecure = true; found {self.bind!r}"


class TcpSettings(OutletSettings):
    """An `[[outlet]]` table of type `tcp`."""

    type: Literal["tcp"]
    listen: str
    """`address:port`."""
    format: Literal["ndjson", "cbor"] = "ndjson"
    policy: WhenFull | None = None
    """As `relay.policy`, which holds if it is not given."""
    mode: Literal["live", "complete"] = "live"
    """Whether backlog comes when it comes, or everything in order."""

    _check_listen = field_validator("listen")(address)

    def exposed(self, auth: AuthSettings) -> str | None:
        """Why anybody could read this from elsewhere; None if not."""
        if auth.wanted or host_of(self.listen) in LOOPBACK:
            return None
        return f"listen: {ONLY_LOOPBACK} {WITHOUT_LOGIN}; found {self.listen!r}"


class RelayConfig(Options):
    """What `headwater relay` reads."""

    relay: RelaySettings = RelaySettings()
    history: HistorySettings = HistorySettings()
    auth: AuthSettings = AuthSettings()
    mqtt: tuple[SourceSettings, ...] = (SourceSettings(),)
    outlet: tuple[Annotated[ZmqSettings | TcpSettings, Field(discriminator="type")], ...] = ()

    @field_validator("mqtt", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        settings = self.relay
        if not (settings.local or self.auth.wanted or settings.insecure):
            raise ValueError(f"relay.listen: {ONLY_LOOPBACK} {WITHOUT_LOGIN}; found {settings.listen!r}")
        for number, outlet in enumerate(self.outlet):
            why = outlet.exposed(self.auth)
            if why is not None and not settings.insecure:
                raise ValueError(f"outlet[{number}].{why}")
        if (settings.cert is None) != (settings.key is None):
            raise ValueError("relay.cert and relay.key belong together")
        return self
