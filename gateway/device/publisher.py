"""From the outbox to the broker: one window of unacknowledged messages, and the retained topics.

It is one thread with a mailbox; the acquisition and the network only leave notes in it.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.device.outbox import Outbox, Record
from gateway.mqtt import Connection, Handlers, MqttSettings, Up, Will

log = logging.getLogger(__name__)

WINDOW = 64
"""Most messages that wait for the broker's acknowledgement at a time."""

Note = Literal["up", "down", "work", "stop"] | int
"""What happened; a number is a message that the broker acknowledged."""


@dataclass(frozen=True, slots=True)
class Retained:
    """What the broker keeps for those who come later."""

    status: Callable[[], tuple[str, bytes]]
    death: Will
    others: dict[str, bytes] = field(default_factory=dict)
    """Topic to payload: the metas."""


class Publisher:
    """Sends what the outbox holds; deletes from it only what the broker acknowledged."""

    def __init__(
        self,
        settings: MqttSettings,
        outbox: Outbox,
        *,
        client_id: str,
        batch_topic: Callable[[str], str],
        content_type: Callable[[str], str],
        retained: Retained,
    ) -> None:
        self._outbox = outbox
        self._batch_topic = batch_topic
        self._content_type = content_type
        self._retained = retained
        self._mailbox: queue.SimpleQueue[Note] = queue.SimpleQueue()
        self._in_flight: dict[int, Record] = {}
        self._window = 0
        self._stopping = False
        self._drained = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)
        self.reconnects = 0
        self.connection = Connection(
            settings,
            Handlers(
                on_up=self._on_up,
                on_down=self._on_down,
                on_refused=lambda why: log.warning("broker: %s; trying again", why),
                on_acknowledged=self._mailbox.put,
            ),
            client_id=client_id,
            will=retained.death,
        )

    def start(self) -> None:
        """Connect, and send as long as there is something to send."""
        self.connection.start()
        self._thread.start()

    def work(self) -> None:
        """There is something new in the outbox."""
        self._mailbox.put("work")

    def publish_json(self, topic: str, content: dict[str, Any], *, qos: int = 0, retain: bool = False) -> None:
        """Send a small message now, or not at all if there is no connection."""
        payload = json.dumps(content).encode()
        self.connection.publish(topic, payload, qos=qos, retain=retain, content_type="application/json")

    def stop(self, patience_s: float) -> bool:
        """Send what is left for as long as `patience_s`, say goodbye; whether all was sent."""
        self._mailbox.put("stop")
        drained = self._drained.wait(patience_s if self.connection.up else 0)
        self.connection.stop(last=(self._retained.death.topic, self._retained.status()[1]))
        return drained

    def _on_up(self, up: Up) -> None:
        log.info("broker: connected to %s with MQTT %s", self.connection.where, up.protocol)
        self._window = min(WINDOW, up.receive_maximum)
        topic, status = self._retained.status()
        self.connection.publish(topic, status, qos=1, retain=True, content_type="application/json")
        for topic, payload in self._retained.others.items():
            self.connection.publish(topic, payload, qos=1, retain=True, content_type="application/json")
        self._mailbox.put("up")

    def _on_down(self, why: str) -> None:
        log.warning("broker: connection lost: %s", why)
        self.reconnects += 1
        self._mailbox.put("down")

    def _run(self) -> None:
        while True:
            note = self._mailbox.get()
            if isinstance(note, int):
                self._acknowledge(note)
            elif note == "down":
                self._in_flight.clear()
                self._outbox.release_all()
            elif note == "stop":
                self._stopping = True
            self._send()
            if self._stopping and not self._in_flight and not len(self._outbox):
                self._drained.set()
                return

    def _acknowledge(self, number: int) -> None:
        record = self._in_flight.pop(number, None)
        if record is not None:
            self._outbox.ack(record)

    def _send(self) -> None:
        while self.connection.up is not None and len(self._in_flight) < self._window:
            record = self._outbox.take()
            if record is None:
                return
            number = self.connection.publish(
                self._batch_topic(record.stream),
                record.payload,
                qos=1,
                content_type=self._content_type(record.stream),
            )
            if number is None:
                self._outbox.release_all()
                return
            self._in_flight[number] = record
