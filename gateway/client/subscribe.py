"""A stream from the broker, message by message."""

from __future__ import annotations

import logging
import os
import queue
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.codec import CODECS
from gateway.codec.json import json_object
from gateway.errors import BrokerError, CodecError
from gateway.model import Message
from gateway.mqtt import Connection, Handlers, MqttSettings
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


def subscribe(settings: MqttSettings, stream: str) -> Iterator[Received | None]:
    """Each message of `device/stream`, in the order of arrival; None twice a second while nothing comes.

    Raises BrokerError if the first try to connect fails; afterwards the connection comes back by itself.
    Payloads that are no messages are logged and passed over.
    """
    device, name = split_stream_key(stream)
    topics = Topics(settings.root)
    inbox: queue.SimpleQueue[tuple[str, bytes] | BrokerError] = queue.SimpleQueue()
    connected = False

    def on_up(_: object) -> None:
        nonlocal connected
        connected = True

    def on_refused(why: str) -> None:
        if connected:
            log.warning("broker: %s; trying again", why)
        else:
            inbox.put(BrokerError(f"broker: {why}"))

    connection = Connection(
        settings,
        Handlers(
            on_up=on_up,
            on_down=lambda why: log.warning("broker: connection lost: %s", why),
            on_refused=on_refused,
            on_message=lambda topic, payload, _: inbox.put((topic, payload)),
        ),
        client_id=f"headwater-sub-{socket.gethostname()}-{os.getpid()}",
        subscriptions=(topics.meta(device, name), topics.batch(device, name)),
    )
    connection.start()
    try:
        yield from _messages(inbox, topics.meta(device, name))
    finally:
        connection.stop()


def _messages(
    inbox: queue.SimpleQueue[tuple[str, bytes] | BrokerError], meta_topic: str
) -> Iterator[Received | None]:
    meta: dict[str, Any] = {}
    while True:
        try:
            item = inbox.get(timeout=WAKE_S)
        except queue.Empty:
            yield None
            continue
        if isinstance(item, BrokerError):
            raise item
        topic, payload = item
        try:
            if topic == meta_topic:
                meta = json_object(payload) if payload else meta
                continue
            codec = CODECS.get(meta.get("codec", "cbor"), CODECS["cbor"])
            received = Received(codec.decode(payload), payload, meta)
        except CodecError as error:
            log.warning("%s: undecodable: %s", topic, error)
            continue
        yield received
