"""The tables of a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
)

from boards.options import Options, did_you_mean
from gateway.codec import CODECS
from gateway.config.words import checked_name, some_and_distinct
from gateway.mqtt_settings import MqttSettings
from gateway.quantities import Duration, Rate, Size
from gateway.units import check_unit

MOST_IRREGULAR_FRAMES = 4096
"""Frames in one batch of an irregular stream; it usually ends by its time."""


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

    _check = field_validator("name")(checked_name)


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

    _check = field_validator("name")(checked_name)
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

    _check = field_validator("name")(checked_name)

    @field_validator("codec")
    @classmethod
    def _check_codec(cls, codec: str) -> str:
        if codec not in CODECS:
            raise ValueError(f"must be one of {', '.join(CODECS)}{did_you_mean(codec, list(CODECS))}")
        return codec

    @field_validator("channel")
    @classmethod
    def _check_channels(cls, channels: tuple[ChannelSettings, ...]) -> tuple[ChannelSettings, ...]:
        some_and_distinct("channel", [channel.name for channel in channels])
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
        some_and_distinct("stream", [stream.name for stream in streams])
        return streams
