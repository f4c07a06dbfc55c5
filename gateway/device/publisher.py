"""From the outbox to the broker, and what the broker keeps for those who come later."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.device.in_flight import InFlight
from gateway.device.kept import Kept
from gateway.device.outbox.outbox import Outbox
from gateway.device.outbox.record import Record, Sending
from gateway.mqtt import Connection, Handlers, Up, Will
from gateway.mqtt_settings import MqttSettings

log = logging.getLogger(__name__)

TAKE_S = 0.25
"""How long the publisher waits for work before it looks whether it is to stop."""
AGAIN_WINDOW = 16
"""How many records that are sent again may be in flight, beside those of the outbox."""
AGAIN_S = 1.0
"""How long one of them may wait for its turn."""
REJECTED_S = 5.0
"""How long nothing is sent after the broker has rejected a record."""


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
        on_connected: Callable[[], None],
    ) -> None:
        """`on_request` and `on_connected` are called in the network thread."""
        self._outbox = outbox
        self._kept = kept
        self._batch_topic = batch_topic
        self._content_type = content_type
        self._retained = retained
        self._on_connected = on_connected
        self._in_flight = InFlight[Sending](self._answered)
        self._again = InFlight[Record](lambda _, __: None)
        self._lock = threading.Lock()
        self._resume_s: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)
        self.connects = 0
        self.rejection: str | None = None
        """Why the broker rejected the last record that it answered; None if it took it."""
        self.failure: Exception | None = None
        """What ended the thread before it was asked to stop."""
        self.connection = Connection(
            settings,
            Handlers(
                on_up=self._on_up,
                on_down=self._on_down,
                on_refused=lambda why: log.warning("broker: %s; trying again", why),
                on_message=lambda topic, payload, _: on_request(topic, payload),
                on_acknowledged=self._on_answer,
                on_rejected=self._on_answer,
            ),
            client_id=client_id,
            subscriptions=(request_filter,),
            will=retained.death,
        )

    def start(self) -> None:
        """Connect, and send as long as there is something to send."""
        self.connection.start()
        self._thread.start()

    def publish_json(self, topic: str, content: dict[str, Any], *, qos: int = 0, retain: bool = False) -> bool:
        """Send a small message now; False if there is no connection."""
        payload = json.dumps(content).encode()
        number = self.connection.publish(topic, payload, qos=qos, retain=retain, content_type="application/json")
        return number is not None

    def send_again(self, record: Record) -> bool:
        """Send what was acknowledged once more, beside the outbox; False if it cannot go now.

        Waits for its turn, so that no number of requests fills the memory. For one thread alone.
        """
        if self._stopping.is_set() or self.connection.up is None:
            return False
        if not self._again.wait_for_room(AGAIN_WINDOW, AGAIN_S):
            return False
        return self._again.send(record, lambda: self._publish(record))

    def stop(self, patience_s: float) -> bool:
        """Send what is left for as long as `patience_s`, say goodbye; whether all was sent."""
        deadline = time.monotonic() + patience_s
        while self._sends and self._outbox.counters().records and time.monotonic() < deadline:
            self._stopping.wait(0.01)
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.connection.stop(last=(self._retained.death.topic, self._retained.status()[1]))
        return not self._outbox.counters().records

    @property
    def _sends(self) -> bool:
        return self.connection.up is not None and self.rejection is None and self.failure is None

    def _on_up(self, up: Up) -> None:
        log.info("broker: connected to %s with MQTT %s", self.connection.where, up.protocol)
        self.connects += 1
        self.announce()
        with self._lock:
            self._resume_s = None
            self._outbox.connected(up.receive_maximum)
        self._on_connected()

    def announce(self) -> None:
        """Send the status and the metas, retained."""
        for topic, payload in (self._retained.status(), *self._retained.others.items()):
            self.connection.publish(topic, payload, qos=1, retain=True, content_type="application/json")

    def _on_down(self, why: str) -> None:
        log.warning("broker: connection lost: %s", why)
        self._again.clear()
        with self._lock:
            self._resume_s = None
            self._give_back()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._resume()
                sending = self._outbox.take(TAKE_S)
                if sending is not None:
                    self._send(sending)
        except Exception as error:
            self.failure = error
            log.exception("publishing ended")

    def _send(self, sending: Sending) -> None:
        """Publish; without a connection, the outbox gets it back when that is told, and hands it out again."""
        connection = self._in_flight.connection
        while not self._in_flight.send(sending, lambda: self._publish(sending.record)):
            if self._in_flight.connection != connection or self._stopping.wait(TAKE_S):
                return

    def _publish(self, record: Record) -> int | None:
        return self.connection.publish(
            self._batch_topic(record.stream), record.payload, qos=1, content_type=self._content_type(record.codec)
        )

    def _on_answer(self, number: int, rejection: str | None = None) -> None:
        """The broker answered the message of that number, a record or something else."""
        self._in_flight.answer(number, rejection)
        self._again.answer(number, rejection)

    def _answered(self, sending: Sending, rejection: str | None) -> None:
        if rejection is not None:
            self._pause(rejection, sending.record)
            return
        self.rejection = None
        self._outbox.ack(sending.token)
        self._kept.add(sending.record)

    def _pause(self, rejection: str, record: Record) -> None:
        """The broker does not take a record: everything waits for a while, as if there were no connection.

        What is wrong has to be put right at the broker; until then the outbox keeps what it can.
        """
        if self.rejection != rejection:
            log.error(
                "broker: rejects %s: %s; may this device write under its own name there? Its certificate or user "
                "must be of the name that device.name says",
                self._batch_topic(record.stream),
                rejection,
            )
        self.rejection = rejection
        with self._lock:
            self._resume_s = time.monotonic() + REJECTED_S
            self._give_back()

    def _resume(self) -> None:
        """Try again what was rejected, when its time has come."""
        with self._lock:
            up = self.connection.up
            if up is not None and self._resume_s is not None and time.monotonic() >= self._resume_s:
                self._resume_s = None
                self._outbox.connected(up.receive_maximum)

    def _give_back(self) -> None:
        self._in_flight.clear()
        self._outbox.release_all()
