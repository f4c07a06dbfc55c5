"""TOML files to typed configuration, with errors that name file, line or key, what was found and what is allowed.

What counts, from the weakest to the strongest: the defaults, the file, the environment
(`HEADWATER__MQTT__URL=…`), `--set mqtt.url=…`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from boards.options import Options, did_you_mean, key_of, problems, without_passwords
from boards.options import Path as KeyPath
from gateway.codec import CODECS
from gateway.credentials import readable
from gateway.errors import ConfigError, TopicError
from gateway.mqtt import MqttSettings
from gateway.quantities import Duration, Rate, Size
from gateway.topics import check_name, split_stream_key
from gateway.units import check_unit

MOST_IRREGULAR_FRAMES = 4096
"""Frames in one batch of an irregular stream; it usually ends by its time."""

ENVIRONMENT_PREFIX = "HEADWATER__"


def _name(name: str) -> str:
    try:
        return check_name(name)
    except TopicError as error:
        raise ValueError(str(error)) from None


def _address(listen: str) -> str:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError("must be 'address:port' with a port from 1 to 65535")
    return listen


def host_of(listen: str) -> str:
    """The address in `address:port`."""
    return listen.rpartition(":")[0].strip("[]")


def port_of(listen: str) -> int:
    """The port in `address:port`."""
    return int(listen.rpartition(":")[2])


def _readable(path: Path | None) -> Path | None:
    return None if path is None else readable(path)


class DeviceSettings(Options):
    """The `[device]` table."""

    name: str = "headwater"
    board: str = "simulated"
    state: Path | None = None
    """Where the epoch counter and the outbox are kept; systemd's StateDirectory where there is one."""
    realtime: bool = False
    """Whether the acquisition asks for SCHED_FIFO."""
    health: Duration = 10.0
    """How often the health is published."""

    _check = field_validator("name")(_name)


class ChannelSettings(Options):
    """A `[[stream.channel]]` table."""

    name: str
    input: str = ""
    """The board's own name for it, or the column of a serial instrument; the channel's name if not given."""
    unit: str = ""
    scale: float = Field(default=1.0, allow_inf_nan=False)
    offset: float = Field(default=0.0, allow_inf_nan=False)
    options: dict[str, Any] = Field(default_factory=dict)
    """What only the board understands."""

    _check = field_validator("name")(_name)
    _check_unit = field_validator("unit")(check_unit)


class StreamSettings(Options):
    """A `[[stream]]` table."""

    name: str
    rate: Rate | None = None
    """Not given for serial instruments, whose rows have times of their own."""
    batch: Duration = 0.1
    """How long a batch is."""
    codec: str = "cbor"
    channel: tuple[ChannelSettings, ...]
    options: dict[str, Any] = Field(default_factory=dict)
    """What only the board understands, such as how the stream is captured."""
    serial: dict[str, Any] | None = None
    """The options of a serial instrument: then the stream is sampled from it, whatever the board."""

    _check = field_validator("name")(_name)

    @field_validator("codec")
    @classmethod
    def _check_codec(cls, codec: str) -> str:
        if codec not in CODECS:
            raise ValueError(f"must be one of {', '.join(CODECS)}{did_you_mean(codec, list(CODECS))}")
        return codec

    @field_validator("channel")
    @classmethod
    def _check_channels(cls, channels: tuple[ChannelSettings, ...]) -> tuple[ChannelSettings, ...]:
        _some_and_distinct("channel", [channel.name for channel in channels])
        return channels

    @field_validator("serial")
    @classmethod
    def _check_serial(cls, serial: dict[str, Any] | None, info: ValidationInfo) -> dict[str, Any] | None:
        if serial is not None and info.data.get("options"):
            raise ValueError("must hold all options of a serial stream, which has no table 'options' beside it")
        return serial

    @property
    def batch_frames(self) -> int:
        """How many frames a batch holds at most: at least one."""
        return MOST_IRREGULAR_FRAMES if self.rate is None else max(1, round(self.batch * self.rate))


class OutboxSettings(Options):
    """The `[outbox]` table."""

    durability: Literal["spill", "always"] = "spill"
    max_bytes: Size = 256 << 20
    drop: Literal["oldest", "newest"] = "oldest"
    kept_bytes: Size = 16 << 20
    """How much of what was acknowledged is kept in memory, for subscribers that ask for it again."""


class DeviceConfig(Options):
    """What `headwater run` reads."""

    device: DeviceSettings = DeviceSettings()
    board: dict[str, Any] = Field(default_factory=dict)
    """The board's own options."""
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    stream: tuple[StreamSettings, ...]

    @field_validator("stream")
    @classmethod
    def _check_streams(cls, streams: tuple[StreamSettings, ...]) -> tuple[StreamSettings, ...]:
        _some_and_distinct("stream", [stream.name for stream in streams])
        return streams


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

    _check_listen = field_validator("listen")(_address)

    @field_validator("origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError("must be origins such as 'https://scope.example', without a path")
        return origins

    _check_files = field_validator("cert", "key")(_readable)

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

    _check_files = field_validator("secret_file", "public_key")(_readable)

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

    _check_listen = field_validator("listen")(_address)

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


def _some_and_distinct(what: str, names: list[str]) -> None:
    if not names:
        raise ValueError(f"at least one {what} is needed")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two {what}s are called {name!r}; each needs a name of its own")


Config = TypeVar("Config", bound=BaseModel)


def load(
    model: type[Config],
    path: Path | None,
    overrides: Iterable[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """Read and check a configuration; raises ConfigError with one line for each problem."""
    text = _read(path) if path is not None else ""
    name = str(path) if path is not None else "configuration"
    content = _tables(text, name)
    origins = _override(content, overrides, environment)
    return load_mapping(model, content, name, lambda key: _origin(origins, key, name, text))


def read_table(path: Path, name: str) -> dict[str, Any]:
    """One table of a file, unchecked; raises ConfigError."""
    table = _tables(_read(path), str(path)).get(name)
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: {name}: must be one table; found {'none' if table is None else 'something else'}"
        )
    return table


def load_mapping(
    model: type[Config],
    content: Mapping[str, Any],
    name: str,
    place: Callable[[KeyPath], str] | None = None,
) -> Config:
    """Check what a file would hold; raises ConfigError with one line for each problem, saying where it is."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = []
        for path, problem in problems(error, model):
            key = _as_written(path, content)
            where = place(key) if place else name
            lines.append(f"{where}: {key_of(key)}: {problem}" if key else f"{where}: {problem}")
        raise ConfigError(without_passwords("\n".join(lines))) from None


def _as_written(path: KeyPath, content: Any) -> KeyPath:
    """The path without the numbers of lists that were written as their one element."""
    kept: list[int | str] = []
    for step in path:
        if isinstance(step, int) and isinstance(content, Mapping):
            continue
        kept.append(step)
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            content = None
    return tuple(kept)


def _tables(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(_not_toml(name, str(error))) from None


def _not_toml(name: str, problem: str) -> str:
    """tomllib's `problem (at line 3, column 7)`, with the line where all other errors have it."""
    at = re.fullmatch(r"(.*) \(at line ([0-9]+), (column [0-9]+)\)", problem, re.DOTALL)
    return f"{name}:{at[2]}: not TOML: {at[1]}, {at[3]}" if at else f"{name}: not TOML: {problem}"


def _origin(origins: Mapping[KeyPath, str], key: KeyPath, name: str, text: str) -> str:
    """Where a key, or what it stands in, or else what stands in it, was set."""
    for length in range(len(key), 0, -1):
        if key[:length] in origins:
            return origins[key[:length]]
    lines = _lines_of_keys(text)
    within = next((where for path, where in origins.items() if path[: len(key)] == key), None)
    if within is not None and key not in lines:
        return within
    line = next((lines[key[:length]] for length in range(len(key), 0, -1) if key[:length] in lines), None)
    return f"{name}:{line}" if line else name


def _override(
    content: dict[str, Any], overrides: Iterable[str], environment: Mapping[str, str]
) -> dict[KeyPath, str]:
    """Put what the environment and the command line say over the file's content; where each key came from."""
    origins: dict[KeyPath, str] = {}
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX):
            keys = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            origins[_put(content, keys, value, variable)] = variable
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: must be key=value, such as mqtt.url=mqtt://127.0.0.1")
        where = f"--set {override}"
        origins[_put(content, key.strip().split("."), value, where)] = where
    return origins


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
        ) from None


def _put(content: dict[str, Any], keys: list[str], text: str, where: str) -> KeyPath:
    """Set one value, list elements by their number, and return its path."""
    place: Any = content
    path: KeyPath = ()
    try:
        for position, key in enumerate(keys):
            step: Any = range(len(place))[int(key)] if isinstance(place, list) else key
            path = (*path, step)
            if position == len(keys) - 1:
                place[step] = _value(text)
            else:
                place = place[step] if isinstance(place, list) else place.setdefault(step, {})
    except (ValueError, IndexError, TypeError, AttributeError):
        raise ConfigError(f"{where}: there is no place {'.'.join(keys)} in the configuration") from None
    return path


def _value(text: str) -> Any:
    """What TOML makes of the text, or else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


_HEADER = re.compile(r"\s*(\[{1,2})\s*([^\]]+?)\s*\]{1,2}\s*(?:#.*)?")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_.-]+)["']?\s*=""")


def _lines_of_keys(text: str) -> dict[KeyPath, int]:
    """The line on which each key, table and list element begins."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.fullmatch(line):
            table = ()
            names = header[2].split(".")
            for position, name in enumerate(names):
                table = (*table, name.strip().strip("\"'"))
                last = position == len(names) - 1
                if last and header[1] == "[[":
                    lines.setdefault(table, number)
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = (*table, counts[table])
            lines[table] = number
        elif key := _KEY.match(line):
            lines[(*table, *key[1].split("."))] = number
    return lines
