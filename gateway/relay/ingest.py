"""From the broker to the hub: take each message apart once, count it, pass its bytes on as they came."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.codec import CODECS
from gateway.codec.json import json_object
from gateway.errors import CodecError, TopicError
from gateway.model import Batch
from gateway.mqtt import Connection, Handlers, MqttSettings, Up
from gateway.relay.catalogue import Catalogue, StreamState
from gateway.relay.hub import Delivery, Hub
from gateway.topics import DeviceTopic, StreamTopic, Topics

log = logging.getLogger(__name__)

Announce = Callable[[str, dict[str, Any]], None]
"""Tell the viewers of a device or stream (`device`, `device/stream`, or "" for all) something."""


class Ingest:
    """The relay's connection to the broker.

    Messages come in paho's network thread; one wake-up of the event loop takes all that have come meanwhile.
    """

    def __init__(self, settings: MqttSettings, catalogue: Catalogue, hub: Hub, announce: Announce) -> None:
        self._topics = Topics(settings.root)
        self._catalogue = catalogue
        self._hub = hub
        self._announce = announce
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Callable[[], None]] = deque()
        self._awake = False
        self.undecodable = 0
        self._connection = Connection(
            settings,
            Handlers(
                on_up=lambda up: self._later(lambda: self._on_up(up)),
                on_down=lambda why: self._later(lambda: self._on_down(why)),
                on_refused=lambda why: log.warning("broker: %s; trying again", why),
                on_message=lambda topic, payload, _: self._later(lambda: self._take(topic, payload)),
            ),
            client_id=f"headwater-relay-{socket.gethostname()}-{os.getpid()}",
            subscriptions=self._topics.everything_for_relay(),
        )

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self._connection.up is not None

    def start(self) -> None:
        """Connect, and stay connected."""
        self._connection.start()

    async def stop(self) -> None:
        """Disconnect."""
        await asyncio.to_thread(self._connection.stop)

    def _later(self, work: Callable[[], None]) -> None:
        self._inbox.append(work)
        if not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._awake = False
        for _ in range(len(self._inbox)):
            self._inbox.popleft()()

    def _on_up(self, up: Up) -> None:
        log.info("broker: connected to %s with MQTT %s", self._connection.where, up.protocol)
        self._announce("", {"type": "broker", "connected": True})

    def _on_down(self, why: str) -> None:
        log.warning("broker: connection lost: %s", why)
        self._announce("", {"type": "broker", "connected": False})

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            match self._topics.parse(topic):
                case StreamTopic(device, stream, "batch"):
                    self._take_message(self._catalogue.stream(device, stream), payload)
                case StreamTopic(device, stream, "meta"):
                    self._take_meta(self._catalogue.stream(device, stream), payload)
                case DeviceTopic(device, "status"):
                    self._take_status(device, payload)
        except (CodecError, TopicError) as error:
            self.undecodable += 1
            log.warning("%s: undecodable: %s", topic, error)

    def _take_message(self, state: StreamState, payload: bytes) -> None:
        message = CODECS[state.codec].decode(payload)
        state.count(message)
        count = message.frames if isinstance(message, Batch) else message.count
        if state.codec != "cbor":
            payload = CODECS["cbor"].encode(message)
        self._hub.publish(state.key, Delivery(payload, message.epoch, message.index, count))

    def _take_meta(self, state: StreamState, payload: bytes) -> None:
        if not payload:
            return  # the retained meta was cleared; what is known stays
        state.meta = json_object(payload)
        self._announce(state.key, {"type": "meta", "stream": state.key, "meta": state.meta})

    def _take_status(self, device: str, payload: bytes) -> None:
        if not payload:
            return
        status = json_object(payload)
        self._catalogue.statuses[device] = status
        self._announce(device, {"type": "status", "device": device, "status": status})
