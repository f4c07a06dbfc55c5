"""From the outbox to the broker, and what the broker keeps for those who come later."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.device.kept import Kept
from gateway.device.outbox.outbox import Outbox
from gateway.device.outbox.record import Record, Sending
from gateway.mqtt import Connection, Handlers, MqttSettings, Up, Will

log = logging.getLogger(__name__)

TAKE_S = 0.25
"""How long the publisher waits for work before it looks whether it is to stop."""


@dataclass(frozen=True, slots=True)
class Retained:
    """What the broker keeps for those who come later."""

    status: Callable[[], tuple[str, bytes]]
    death: Will
    others: dict[str, bytes] = field(default_factory=dict)
    """Topic to payload: the metas."""


class Publisher:
    """Sends what the outbox holds; the outbox forgets only what the broker acknowledged.

    What was acknowledged goes to `kept` for a while, because a broker can still lose it.
    """

    def __init__(
        self,
        settings: MqttSettings,
        outbox: Outbox,
        kept: Kept,
        *,
        client_id: str,
        batch_topic: Callable[[str], str],
        content_type: Callable[[str], str],
        retained: Retained,
        request_filter: str,
        on_request: Callable[[str, bytes], None],
    ) -> None:
        self._outbox = outbox
        self._kept = kept
        self._batch_topic = batch_topic
        self._content_type = content_type
        self._retained = retained
        self._in_flight = _InFlight(self._forget)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)
        self.connects = 0
        self.connection = Connection(
            settings,
            Handlers(
                on_up=self._on_up,
                on_down=self._on_down,
                on_refused=lambda why: log.warning("broker: %s; trying again", why),
                on_message=lambda topic, payload, _: on_request(topic, payload),
                on_acknowledged=self._in_flight.acknowledge,
            ),
            client_id=client_id,
            subscriptions=(request_filter,),
            will=retained.death,
        )

    def start(self) -> None:
        """Connect, and send as long as there is something to send."""
        self.connection.start()
        self._thread.start()

    def publish_json(self, topic: str, content: dict[str, Any], *, qos: int = 0, retain: bool = False) -> None:
        """Send a small message now, or not at all if there is no connection."""
        payload = json.dumps(content).encode()
        self.connection.publish(topic, payload, qos=qos, retain=retain, content_type="application/json")

    def send_again(self, record: Record) -> None:
        """Send what was acknowledged once more, beside the outbox."""
        self._publish(record)

    def stop(self, patience_s: float) -> bool:
        """Send what is left for as long as `patience_s`, say goodbye; whether all was sent."""
        deadline = time.monotonic() + patience_s
        while self.connection.up is not None and self._outbox.counters().records and time.monotonic() < deadline:
            self._stopping.wait(0.01)
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.connection.stop(last=(self._retained.death.topic, self._retained.status()[1]))
        return not self._outbox.counters().records

    def _on_up(self, up: Up) -> None:
        log.info("broker: connected to %s with MQTT %s", self.connection.where, up.protocol)
        self.connects += 1
        self.announce()
        self._outbox.connected(up.receive_maximum)

    def announce(self) -> None:
        """Send the status and the metas, retained."""
        for topic, payload in (self._retained.status(), *self._retained.others.items()):
            self.connection.publish(topic, payload, qos=1, retain=True, content_type="application/json")

    def _on_down(self, why: str) -> None:
        log.warning("broker: connection lost: %s", why)
        self._in_flight.clear()
        self._outbox.release_all()

    def _run(self) -> None:
        while not self._stopping.is_set():
            sending = self._outbox.take(TAKE_S)
            if sending is None:
                continue
            self._in_flight.expect()
            number = self._publish(sending.record)
            self._in_flight.add(number, sending)
            if number is None:
                self._outbox.release_all()
                self._stopping.wait(TAKE_S)

    def _publish(self, record: Record) -> int | None:
        return self.connection.publish(
            self._batch_topic(record.stream), record.payload, qos=1, content_type=self._content_type(record.codec)
        )

    def _forget(self, sending: Sending) -> None:
        self._outbox.ack(sending.token)
        self._kept.add(sending.record)


class _InFlight:
    """Which message number stands for which record. An acknowledgement may overtake the number it is for."""

    def __init__(self, on_acknowledged: Callable[[Sending], None]) -> None:
        self._on_acknowledged = on_acknowledged
        self._lock = threading.Lock()
        self._sendings: dict[int, Sending] = {}
        self._expecting = False
        self._early: set[int] = set()

    def expect(self) -> None:
        """A record is about to be published: its acknowledgement may come before `add`."""
        with self._lock:
            self._expecting = True

    def add(self, number: int | None, sending: Sending) -> None:
        """The record went out under that number, or not at all."""
        with self._lock:
            early = number in self._early
            self._expecting = False
            self._early.clear()
            if number is not None and not early:
                self._sendings[number] = sending
        if early:
            self._on_acknowledged(sending)

    def acknowledge(self, number: int) -> None:
        """The broker has taken the message of that number, a record or something else."""
        with self._lock:
            sending = self._sendings.pop(number, None)
            if sending is None and self._expecting:
                self._early.add(number)
        if sending is not None:
            self._on_acknowledged(sending)

    def clear(self) -> None:
        """The connection is gone, and its numbers with it."""
        with self._lock:
            self._sendings.clear()
            self._early.clear()
