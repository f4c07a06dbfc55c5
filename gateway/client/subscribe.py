"""A stream from the broker, message by message."""

from __future__ import annotations

import logging
import os
import queue
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from gateway.codec import codec_named
from gateway.codec.json import json_object
from gateway.errors import BrokerError, CodecError
from gateway.model import Message
from gateway.mqtt import Connection, Handlers, Up
from gateway.mqtt_settings import MqttSettings
from gateway.topics import Topics, split_stream_key

log = logging.getLogger(__name__)

WAKE_S = 0.5


@dataclass(frozen=True, slots=True)
class Received:
    """One message of a stream, with what is known of the stream."""

    message: Message
    payload: bytes
    meta: dict[str, Any]
    """The retained meta; empty if the stream has none yet."""


class Inbox:
    """What a connection receives, for one reader."""

    def __init__(self, settings: MqttSettings, topics: Sequence[str], purpose: str) -> None:
        self._items: queue.SimpleQueue[tuple[str, bytes] | BrokerError] = queue.SimpleQueue()
        self.connected = False
        """Whether there was a connection."""
        self.connection = Connection(
            settings,
            Handlers(
                on_up=self._on_up,
                on_down=lambda why: log.warning("broker: connection lost: %s", why),
                on_refused=self._on_refused,
                on_message=lambda topic, payload, _: self._items.put((topic, payload)),
            ),
            client_id=f"headwater-{purpose}-{socket.gethostname()}-{os.getpid()}-{next(_numbers)}",
            subscriptions=topics,
        )

    def get(self, timeout: float) -> tuple[str, bytes]:
        """Topic and payload. Raises queue.Empty, or BrokerError if the first try to connect failed."""
        item = self._items.get(timeout=timeout)
        if isinstance(item, BrokerError):
            raise item
        return item

    def publish(self, topic: str, payload: bytes) -> None:
        """Send something, if there is a connection."""
        self.connection.publish(topic, payload, qos=1, content_type="application/json")

    def _on_up(self, _: Up) -> None:
        self.connected = True

    def _on_refused(self, why: str) -> None:
        if self.connected:
            log.warning("broker: %s; trying again", why)
        else:
            self._items.put(BrokerError(f"broker: {why}"))


_numbers = count(1)


@contextmanager
def open_inbox(settings: MqttSettings, topics: Sequence[str], purpose: str) -> Iterator[Inbox]:
    """A connection for as long as the block lasts; it comes back by itself after the first time."""
    inbox = Inbox(settings, topics, purpose)
    inbox.connection.start()
    try:
        yield inbox
    finally:
        inbox.connection.stop()


def subscribe(settings: MqttSettings, stream: str) -> Iterator[Received | None]:
    """Each message of `device/stream`, in the order of arrival; None twice a second while nothing comes.

    Raises BrokerError if the first try to connect fails; afterwards the connection comes back by itself.
    Payloads that are no messages are logged and passed over.
    """
    device, name = split_stream_key(stream)
    topics = Topics(settings.root)
    meta_topic = topics.meta(device, name)
    meta: dict[str, Any] = {}
    with open_inbox(settings, (meta_topic, topics.batch(device, name)), "sub") as inbox:
        while True:
            try:
                topic, payload = inbox.get(WAKE_S)
            except queue.Empty:
                yield None
                continue
            try:
                if topic == meta_topic:
                    meta = json_object(payload) if payload else meta
                    continue
                received = Received(codec_named(meta.get("codec")).decode(payload), payload, meta)
            except CodecError as error:
                log.warning("%s: undecodable: %s", topic, error)
                continue
            yield received
