"""What a subscriber asks for: the same words in a WebSocket's message and in an address. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from gateway.quantities import Duration
from gateway.relay.envelope import MAXIMUM_WIDTH, MINIMUM_WIDTH
from gateway.relay.replay import LastFrames, LastSeconds, Resume, Start
from gateway.relay.subscriber import Policy
from gateway.relay.words import DeviceName, StreamKey, Words, parse_words

Mode = Literal["live", "complete"]
"""live: the newest as soon as it comes, backlog when it comes. complete: each index once and in order."""

LARGEST = (1 << 62) - 1
MOST_CHANNELS = 256
FASTEST = 60.0
"""Envelopes a second."""


Number = Annotated[int, Field(ge=0, le=LARGEST)]


class EnvelopeWish(Words):
    """The least and greatest values for each pixel, in place of the samples."""

    seconds: Duration = 10.0
    """The window, up to the newest frame."""
    width: int = Field(default=1000, ge=MINIMUM_WIDTH, le=MAXIMUM_WIDTH)
    """Pixels."""
    channels: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None, min_length=1, max_length=MOST_CHANNELS
    )
    """Their numbers; all, if not given."""
    rate: float = Field(default=30.0, gt=0, le=FASTEST)
    """Envelopes a second, at most."""


class Reading(Words):
    """How a stream is read, over whatever it comes."""

    policy: Policy | None = None
    """When the queue is full: the oldest go, or every second one, or the reader; else as the relay likes."""
    mode: Mode = "live"
    """The newest as soon as it comes, and backlog when it comes; or each index once and in order."""
    epoch: Number | None = None
    """With `index`: go on with this frame."""
    index: Number | None = None
    """With `epoch`: go on with this frame."""
    last: Duration | None = None
    """Begin so long before the newest frame."""
    last_frames: int | None = Field(default=None, ge=1, le=LARGEST)
    """Begin so many frames before the end."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.epoch is None) != (self.index is None):
            raise ValueError("epoch and index belong together")
        starts = [self.epoch, self.last, self.last_frames]
        if len(starts) - starts.count(None) > 1:
            raise ValueError("only one of epoch and index, last, last_frames")
        return self

    @property
    def start(self) -> Start | None:
        """Where to begin, if not with the next message."""
        if self.epoch is not None and self.index is not None:
            return Resume(self.epoch, self.index)
        if self.last is not None:
            return LastSeconds(self.last)
        return None if self.last_frames is None else LastFrames(self.last_frames)


class Wish(Reading):
    """One subscription."""

    stream: StreamKey
    """`device/stream`."""
    envelope: EnvelopeWish | None = None
    """Not the samples but what a screen can show of them."""

    @model_validator(mode="after")
    def _no_start_of_an_envelope(self) -> Self:
        if self.envelope is not None and self.start is not None:
            raise ValueError("only one of epoch and index, last, last_frames, envelope")
        return self


class HttpWish(Reading):
    """One stream over HTTP, whose name is in the path."""

    format: Literal["csv", "ndjson", "cbor"] = "csv"
    """A line a frame, in physical units, or the messages as they are on MQTT, one after the other."""

    def of(self, stream: str) -> Wish:
        """The wish for this stream."""
        return Wish(stream=stream, **self.model_dump(exclude={"format"}))


class EventsWish(Words):
    """What is listened to beside the samples."""

    device: DeviceName | None = None
    """Of this device alone."""


def wish_of(content: Mapping[str, Any]) -> Wish:
    """What a message asks for; raises BadOption, in one line."""
    return parse_words(Wish, {name: value for name, value in content.items() if name != "type"}, "subscribe")
