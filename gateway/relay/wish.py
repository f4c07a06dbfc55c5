"""What a subscriber asks for: the same words in a WebSocket's message and in an address. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from boards.errors import BadOption
from boards.options import Options, parse_options
from gateway.errors import TopicError
from gateway.quantities import Duration
from gateway.relay.envelope import MAXIMUM_WIDTH, MINIMUM_WIDTH
from gateway.relay.replay import LastFrames, LastSeconds, Resume, Start
from gateway.relay.subscriber import Policy
from gateway.topics import split_stream_key

Mode = Literal["live", "complete"]
"""live: the newest as soon as it comes, backlog when it comes. complete: each index once and in order."""

LARGEST = (1 << 62) - 1
MOST_CHANNELS = 256
FASTEST = 60.0
"""Envelopes a second."""


def _stream(stream: str) -> str:
    try:
        split_stream_key(stream)
    except TopicError as error:
        raise ValueError(str(error)) from None
    return stream


StreamKey = Annotated[str, AfterValidator(_stream)]
Number = Annotated[int, Field(ge=0, le=LARGEST)]


class EnvelopeWish(Options):
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


class Wish(Options):
    """One subscription."""

    stream: StreamKey
    """`device/stream`."""
    policy: Policy | None = None
    mode: Mode = "live"
    epoch: Number | None = None
    index: Number | None = None
    """Go on with this frame."""
    last: Duration | None = None
    """Begin so long before the newest frame."""
    last_frames: int | None = Field(default=None, ge=1, le=LARGEST)
    """Begin so many frames before the end."""
    envelope: EnvelopeWish | None = None

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.epoch is None) != (self.index is None):
            raise ValueError("epoch and index belong together")
        starts = [self.epoch, self.last, self.last_frames, self.envelope]
        if len(starts) - starts.count(None) > 1:
            raise ValueError("only one of epoch and index, last, last_frames, envelope")
        return self

    @property
    def start(self) -> Start | None:
        """Where to begin, if not with the next message."""
        if self.epoch is not None and self.index is not None:
            return Resume(self.epoch, self.index)
        if self.last is not None:
            return LastSeconds(self.last)
        return None if self.last_frames is None else LastFrames(self.last_frames)


def wish_of(content: Mapping[str, Any], stream: str | None = None) -> Wish:
    """What was asked for; raises BadOption, in one line."""
    given = {name: value for name, value in content.items() if name != "type"}
    if stream is not None:
        given["stream"] = stream
    try:
        return parse_options(Wish, given, "subscribe")
    except BadOption as error:
        raise BadOption("; ".join(str(error).replace("subscribe: (top level): ", "").splitlines())) from None
