"""What the broker delivers, topic by topic: batches to their readers, the rest to those who watch. Pure.

Whatever is not as it should be is counted, said with its topic, and ends nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from gateway.codec.json import json_object
from gateway.errors import CodecError, TopicError
from gateway.relay.catalogue import Catalogue, StreamState
from gateway.relay.delivery import Delivery
from gateway.topics import DeviceTopic, EventTopic, StreamTopic, Topics

log = logging.getLogger(__name__)

MAXIMUM_TOPICS = 10_000
"""How many topics' meanings are remembered; whoever makes up more only costs himself time."""
MAXIMUM_NAMED = 1000
"""How many topics with undecodable payloads are counted one by one."""
OTHERS = "(others)"

Publish = Callable[[StreamState, Delivery], None]
"""A message of a stream that is new."""
Announce = Callable[[str, dict[str, Any]], None]
"""Something that viewers of a device or stream (`device`, `device/stream`, or "" for all) are told."""
Take = Callable[[bytes], None]


class Reception:
    """The messages of one root."""

    def __init__(self, root: str, catalogue: Catalogue, publish: Publish, announce: Announce) -> None:
        self._topics = Topics(root)
        self._catalogue = catalogue
        self._publish = publish
        self._announce = announce
        self._takers: dict[str, Take] = {}
        self.streams: dict[str, StreamState] = {}
        """Those that came by this way."""
        self.on_status: Callable[[str, dict[str, Any]], None] = lambda _, __: None
        self.undecodable: dict[str, int] = {}
        """Payloads, by topic."""

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topics to subscribe to."""
        return self._topics.everything_for_relay()

    def take(self, topic: str, payload: bytes) -> None:
        """One message; never raises."""
        try:
            taker = self._takers.get(topic) or self._learn(topic)
            taker(payload)
        except (CodecError, TopicError) as error:
            self._refuse(topic, error)

    def _learn(self, topic: str) -> Take:
        taker = self._taker(topic)
        if len(self._takers) >= MAXIMUM_TOPICS:
            self._takers.clear()
        self._takers[topic] = taker
        return taker

    def _taker(self, topic: str) -> Take:
        match self._topics.parse(topic):
            case StreamTopic(device, stream, "batch"):
                state = self.streams[f"{device}/{stream}"] = self._catalogue.stream(device, stream)
                return lambda payload: self._take_batch(state, payload)
            case StreamTopic(device, stream, "meta"):
                state = self._catalogue.stream(device, stream)
                return lambda payload: self._take_meta(state, payload)
            case DeviceTopic(device, "status"):
                return lambda payload: self._take_status(device, payload)
            case DeviceTopic(device, "health"):
                return lambda payload: self._take_health(device, payload)
            case EventTopic(device, sender, event):
                return lambda payload: self._take_event(device, sender, event, payload)
        return lambda _: None

    def _take_batch(self, state: StreamState, payload: bytes) -> None:
        for delivery in state.intake.take(payload, state.codec):
            self._publish(state, delivery)

    def _take_meta(self, state: StreamState, payload: bytes) -> None:
        if not payload:
            return  # the retained meta was cleared; what is known stays
        state.take_meta(json_object(payload))
        self._announce(state.key, {"type": "meta", "stream": state.key, "meta": state.meta})

    def _take_status(self, device: str, payload: bytes) -> None:
        if not payload:
            return
        status = json_object(payload)
        self._catalogue.statuses[device] = status
        self.on_status(device, status)
        self._announce(device, {"type": "status", "device": device, "status": status})

    def _take_health(self, device: str, payload: bytes) -> None:
        health = json_object(payload)
        self._catalogue.health[device] = health
        self._announce(device, {"type": "health", "device": device, "health": health})

    def _take_event(self, device: str, sender: str, event: str, payload: bytes) -> None:
        self._announce(
            device,
            {"type": "event", "device": device, "sender": sender, "event": event, "data": _readable(payload)},
        )

    def _refuse(self, topic: str, error: Exception) -> None:
        named = topic if topic in self.undecodable or len(self.undecodable) < MAXIMUM_NAMED else OTHERS
        count = self.undecodable[named] = self.undecodable.get(named, 0) + 1
        if count & (count - 1) == 0:  # a topic that is always wrong is logged at 1, 2, 4, 8 …
            fields = {"event": "undecodable", "topic": topic, "count": count}
            log.warning("%s: undecodable, %d so far: %s", topic, count, error, extra=fields)
        scope = self._scope(topic)
        if scope is not None:
            self._announce(scope, {"type": "undecodable", "topic": topic, "count": count})

    def _scope(self, topic: str) -> str | None:
        try:
            parsed = self._topics.parse(topic)
        except TopicError:
            return None
        if not isinstance(parsed, StreamTopic):
            return parsed.device
        if parsed.leaf == "batch":
            self._catalogue.stream(parsed.device, parsed.stream).undecodable += 1
        return parsed.key


def _readable(payload: bytes) -> Any:
    """The event's data if it is JSON, else the text or the bytes in hexadecimal."""
    try:
        return json.loads(payload, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {"hex": payload.hex()}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
