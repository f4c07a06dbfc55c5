"""What would run, checked: the board, and a source for each stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import boards.base
from boards.base import SampleSource, SourceRequest
from boards.errors import BoardError, UnknownInput
from boards.registry import load_board
from boards.serial import open_serial_source
from gateway.config import ChannelSettings, DeviceConfig, StreamSettings
from gateway.device.batcher import BatchPlan
from gateway.errors import ConfigError
from gateway.meta import revision_of
from gateway.model import Channel, Stream
from gateway.quantities import format_rate
from gateway.topics import Topics


@dataclass(frozen=True, slots=True)
class PlannedStream:
    """A stream with the source that will feed it."""

    stream: Stream
    settings: StreamSettings
    source: SampleSource

    @property
    def batches(self) -> BatchPlan:
        """How it is cut into batches."""
        return BatchPlan(
            self.stream.rate, self.settings.batch_frames, round(self.settings.batch * 1e9), self.stream.revision
        )


class Plan:
    """All that would run, checked: what `--check` prints and `DeviceService` runs. Raises HeadwaterError."""

    def __init__(self, config: DeviceConfig) -> None:
        self.config = config
        try:
            board = load_board(config.device.board)
        except BoardError as error:
            raise ConfigError(f"device.board: {error}") from error
        try:
            self.board = board(config.board)
            self.streams = [self._plan(settings) for settings in config.stream]
        except BoardError as error:
            raise ConfigError(str(error)) from error

    def _plan(self, settings: StreamSettings) -> PlannedStream:
        request = SourceRequest(
            channels=tuple(
                boards.base.Channel(channel.name, channel.input or channel.name, channel.options)
                for channel in settings.channel
            ),
            rate=settings.rate,
            block_frames=settings.batch_frames,
            options=settings.options,
        )
        try:
            source = self._open(request, settings.serial)
        except BoardError as error:
            raise ConfigError(f"stream {settings.name!r}: {error}") from error
        stream = Stream(
            device=self.config.device.name,
            name=settings.name,
            channels=tuple(self._published(channel, settings.serial is not None) for channel in settings.channel),
            rate=source.request.rate,
            dtype=np.dtype(source.dtype).name,
            codec=settings.codec,
        )
        return PlannedStream(replace(stream, revision=revision_of(stream)), settings, source)

    def _published(self, settings: ChannelSettings, serial: bool) -> Channel:
        """What readers are told of a channel's values: what the configuration says, or else the board."""
        name = settings.input or settings.name
        if serial or settings.model_fields_set & {"unit", "scale", "offset"}:
            return Channel(settings.name, settings.unit, settings.scale, settings.offset, name)
        try:
            known = self.board.find_input(name)
        except UnknownInput:  # the board learns its inputs only when it is opened
            return Channel(settings.name, input=name)
        return Channel(settings.name, known.unit, known.scale, known.offset, name)

    def _open(self, request: SourceRequest, serial: dict[str, Any] | None) -> SampleSource:
        if serial is not None:
            return open_serial_source(request, serial)
        self.board.check(request)
        return self.board.open_source(request)

    def describe(self) -> list[str]:
        """What would run, a line each."""
        device, mqtt = self.config.device, self.config.mqtt
        lines = [f"device {device.name} on board {device.board}, {mqtt.address}"]
        topics = Topics(mqtt.root)
        for planned in self.streams:
            stream, settings = planned.stream, planned.settings
            channels = ", ".join(f"{channel.name} ({channel.input})" for channel in stream.channels)
            topic = topics.batch(stream.device, stream.name)
            rate = f"at {format_rate(stream.rate)} Hz" if stream.rate else "as they come"
            length = f"{settings.batch_frames} frames" if stream.rate else f"{settings.batch:g} s"
            lines.append(f"stream {stream.key}: {channels} {rate}, {length} a batch, {stream.codec}, to {topic}")
        return lines
