"""What the relay answers in JSON: typed here once, for the code that makes it and for the API's document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from gateway.model import GapReason
from gateway.relay.subscriber import Policy

described = with_config(ConfigDict(use_attribute_docstrings=True))
"""The docstrings of its fields are their descriptions."""


@described
class Health(TypedDict):
    """How the relay is."""

    status: Literal["ok"]
    version: str
    worker: int
    """Which of the relay's processes answers."""
    broker: bool
    """Whether all brokers are connected."""
    undecodable: int
    """Payloads that were no messages."""


@described
class Readiness(TypedDict):
    """Whether the relay has its brokers."""

    ready: bool


@described
class Session(TypedDict):
    """What the cookie or the token grants."""

    required: bool
    """Whether the relay asks for tokens."""
    authorized: bool
    streams: list[str]
    """Patterns of `device/stream`."""


@described
class Login(TypedDict):
    """Whether the cookie opens anything now."""

    authorized: bool


class Progress(TypedDict):
    """How far a stream has come."""

    # described so, as pydantic does not see the docstrings of fields that are inherited
    epoch: Annotated[int | None, Field(description="The newest; null if nothing has come.")]
    end: Annotated[int, Field(description="The index after its newest frame.")]
    delivered: Annotated[int, Field(description="Frames, in all epochs.")]
    lost: Annotated[dict[GapReason, int], Field(description="Frames that were declared lost.")]
    duplicates: Annotated[int, Field(description="Frames that came again.")]
    holes: Annotated[list[list[int]], Field(description="Of the newest epoch, what is missing: [from, to).")]
    last_utc_ns: Annotated[str | None, Field(description="Of the newest frame, ns since 1970, as text.")]


@described
class StreamEntry(Progress):
    """One stream."""

    stream: str
    """`device/stream`."""
    device: str
    name: str
    online: bool
    """Whether the device says that it is there."""
    meta: dict[str, Any] | None
    """What the device says of the stream's channels, units and rate; null if nothing has come."""
    undecodable: int
    """Payloads that were no messages."""


@described
class StreamList(TypedDict):
    """The streams that may be read."""

    streams: list[StreamEntry]


Reads = Literal["history", "live", "complete", "envelope"]


@described
class SubscriberEntry(TypedDict):
    """One connection that reads."""

    id: int
    outlet: str
    """`websocket`, `http`, `tcp` or `events`."""
    address: str
    stream: str | None
    seconds: float
    """How long it has been connected."""
    policy: Policy
    reads: Reads
    queued_bytes: int
    queued_messages: int
    lag_frames: int
    """From the oldest message that waits to the newest that came."""
    lost_frames: int
    """That fell out of its queue, and were declared to it."""


@described
class SubscriberList(TypedDict):
    """Who reads."""

    worker: int
    """Of which of the relay's processes; the others know of others."""
    subscribers: list[SubscriberEntry]
    connections: int
    """Of any kind."""


@described
class Frame(TypedDict):
    """One frame, in physical units."""

    time: str
    """RFC 3339, UTC, with microseconds."""
    epoch: int
    index: int
    values: dict[str, float | None]
    """By channel; null for what is no finite number."""


@described
class LostFrames(TypedDict):
    """A range of frames that will never come."""

    epoch: int
    index: int
    count: int
    reason: GapReason


@described
class GapEntry(TypedDict):
    """A gap, in its place among the frames."""

    gap: LostFrames


@described
class Samples(TypedDict):
    """A part of the history."""

    stream: str
    frames: list[Frame | GapEntry]


@described
class Points(TypedDict):
    """A part of the history as the least and the greatest values of stretches of equal length."""

    stream: str
    epochs: list[dict[str, Any]]
    """For each epoch its number, `epoch`, and columns of equal length: `time`, `index`, `frames`, `delivered`, and
    `<channel>_min` and `<channel>_max`, which are null where nothing was delivered."""
