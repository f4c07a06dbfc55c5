"""Somebody else on the broker: paho alone, nothing of ours."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.waiting import wait_until


class Heard(NamedTuple):
    """A message that came."""

    topic: str
    payload: bytes
    retained: bool
    content_type: str | None


class Peer:
    """Publishes, and hears what it subscribed to, in order."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[Heard] = []
        self._subscribed = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(self._client.is_connected, f"the broker on port {port}")
        for topic in topics:
            self._client.subscribe(topic, qos=1)
        wait_until(lambda: self._subscribed == len(topics), "the subscriptions")

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Returns when the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    def send(self, topic: str, payload: bytes) -> None:
        """Returns at once."""
        self._client.publish(topic, payload, qos=1)

    def wait_for(self, count: int) -> list[Heard]:
        """Wait until so many messages came; all of them."""
        wait_until(lambda: len(self.heard) >= count, f"{count} messages")
        return list(self.heard)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed += 1

    def _on_message(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        content_type = getattr(message.properties, "ContentType", None)
        self.heard.append(Heard(message.topic, bytes(message.payload), message.retain, content_type))
