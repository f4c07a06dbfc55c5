"""A stream followed to its last frame: what does not come is asked for again."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Iterator

from gateway.audit import Audit
from gateway.client.subscribe import Inbox, open_inbox
from gateway.codec import codec_named
from gateway.codec.json import json_object
from gateway.errors import CodecError
from gateway.mqtt_settings import MqttSettings
from gateway.repair import Repairs, resend_request
from gateway.topics import Topics, split_stream_key

log = logging.getLogger(__name__)

STEP_S = 0.2


class Follower:
    """Keeps an `Audit` of one stream up to date, and asks the device for the holes in it."""

    def __init__(self, settings: MqttSettings, stream: str) -> None:
        device, name = split_stream_key(stream)
        self.audit = Audit(device, name)
        self._topics = Topics(settings.root)
        self._settings = settings
        self._repairs = Repairs()
        self._codec = codec_named(None)
        self._asked_s = 0.0

    def follow(self) -> Iterator[Audit]:
        """The audit, after every message and a few times a second besides. Raises BrokerError at the first try."""
        device, name = self.audit.device, self.audit.stream
        topics = (
            self._topics.status(device),
            self._topics.meta(device, name),
            self._topics.batch(device, name),
        )
        with open_inbox(self._settings, topics, "audit") as inbox:
            while True:
                try:
                    self._take(*inbox.get(STEP_S))
                except queue.Empty:
                    pass
                except CodecError as error:
                    log.warning("undecodable: %s", error)
                self._ask(inbox)
                yield self.audit

    def _take(self, topic: str, payload: bytes) -> None:
        device, name = self.audit.device, self.audit.stream
        if topic == self._topics.batch(device, name):
            self.audit.take(self._codec.decode(payload))
        elif payload and topic == self._topics.status(device):
            self.audit.take_status(json_object(payload))
        elif payload and topic == self._topics.meta(device, name):
            self._codec = codec_named(json_object(payload).get("codec"))

    def _ask(self, inbox: Inbox) -> None:
        now = time.monotonic()
        if now - self._asked_s < STEP_S:
            return  # a burst of messages is no reason to look at every epoch for each
        self._asked_s = now
        for epoch, ranges in self._repairs.due(self.audit.holes(), now).items():
            topic = self._topics.request(self.audit.device, "resend")
            inbox.publish(topic, resend_request(self.audit.stream, epoch, ranges))
