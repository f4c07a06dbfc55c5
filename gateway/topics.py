"""The topic tree. The only place that knows it.

<root>/<device>/status                      retained JSON
<root>/<device>/health                      JSON
<root>/<device>/stream/<stream>/meta        retained JSON
<root>/<device>/stream/<stream>/batch       the samples and the gaps
<root>/<device>/stream/<stream>/latest      retained JSON
<root>/<device>/event/<sender>/<event>      JSON or CBOR
<root>/<device>/request/<method>            MQTT 5 request/response
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import TopicError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
NAME_RULE = "1 to 64 letters, digits, '_', '-' or '.', beginning with a letter or digit"


def check_name(name: str, what: str = "name") -> str:
    """Return a name that may stand in a topic; raises TopicError saying what is allowed."""
    if not NAME.fullmatch(name):
        raise TopicError(f"{what} {name!r:.100} is not allowed: it must be {NAME_RULE}")
    return name


def split_stream_key(key: str) -> tuple[str, str]:
    """`device/stream` to its two names; raises TopicError."""
    device, slash, stream = key.partition("/")
    if not slash:
        raise TopicError(f"{key!r} is not a stream: it must be 'device/stream'")
    return check_name(device, "device"), check_name(stream, "stream")


@dataclass(frozen=True, slots=True)
class StreamTopic:
    """A topic of one stream, taken apart."""

    device: str
    stream: str
    leaf: str

    @property
    def key(self) -> str:
        """`device/stream`."""
        return f"{self.device}/{self.stream}"


@dataclass(frozen=True, slots=True)
class DeviceTopic:
    """A topic of the device itself, taken apart."""

    device: str
    leaf: str


@dataclass(frozen=True, slots=True)
class EventTopic:
    """A topic of an event, taken apart."""

    device: str
    sender: str
    event: str


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic below one root."""

    root: str = "headwater"

    def status(self, device: str) -> str:
        """Birth and death of a device, retained."""
        return f"{self.root}/{device}/status"

    def health(self, device: str) -> str:
        """Queues, losses, load."""
        return f"{self.root}/{device}/health"

    def meta(self, device: str, stream: str) -> str:
        """Channels, units, scale and rate of a stream, retained."""
        return f"{self.root}/{device}/stream/{stream}/meta"

    def batch(self, device: str, stream: str) -> str:
        """The samples and the gaps."""
        return f"{self.root}/{device}/stream/{stream}/batch"

    def latest(self, device: str, stream: str) -> str:
        """The newest value of each channel, retained."""
        return f"{self.root}/{device}/stream/{stream}/latest"

    def event(self, device: str, sender: str, event: str) -> str:
        """One event of one sender."""
        return f"{self.root}/{device}/event/{sender}/{event}"

    def request(self, device: str, method: str) -> str:
        """A request to a device."""
        return f"{self.root}/{device}/request/{method}"

    def below(self, device: str) -> str:
        """Filter of all that a device says of itself, and is asked."""
        return f"{self.root}/{device}/#"

    def everything(self) -> str:
        """Filter of all there is."""
        return f"{self.root}/#"

    def everything_for_relay(self) -> tuple[str, ...]:
        """Filters of all that a relay needs."""
        return (
            f"{self.root}/+/status",
            f"{self.root}/+/health",
            f"{self.root}/+/stream/+/meta",
            f"{self.root}/+/stream/+/batch",
            f"{self.root}/+/event/+/+",
        )

    def parse(self, topic: str) -> StreamTopic | DeviceTopic | EventTopic:
        """Take apart a topic of a stream, a device or an event; raises TopicError if it is none of them."""
        prefix = f"{self.root}/"
        parts = topic[len(prefix) :].split("/") if topic.startswith(prefix) else []
        match parts:
            case [device, "stream", stream, ("meta" | "batch" | "latest") as leaf]:
                return StreamTopic(check_name(device, "device"), check_name(stream, "stream"), leaf)
            case [device, ("status" | "health") as leaf]:
                return DeviceTopic(check_name(device, "device"), leaf)
            case [device, "event", sender, event]:
                names = check_name(device, "device"), check_name(sender, "sender"), check_name(event, "event")
                return EventTopic(*names)
        raise TopicError(f"{topic!r} is not a topic of a stream, a device or an event below {self.root!r}")
