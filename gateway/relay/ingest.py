"""The relay's connections to its brokers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gateway.mqtt import Handlers, Up
from gateway.mqtt_settings import MqttSettings
from gateway.relay.caretaker import PERIOD_S, Caretaker, Conclude
from gateway.relay.loop_connection import LoopConnection
from gateway.relay.reception import Publish, Reception
from gateway.topics import Topics

log = logging.getLogger(__name__)

STALLED_S = 5.0
"""When what is missing has not been looked after for so long, the ingest hangs."""


class Source:
    """One broker and one root on it."""

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        reception: Reception,
        publish: Publish,
        conclude: Conclude,
        *,
        persistent: bool,
    ) -> None:
        self.reception = reception
        self.caretaker = Caretaker(reception.streams, publish, self._ask, conclude)
        self._topics = Topics(settings.root)
        self._loop = asyncio.get_running_loop()
        reception.on_status = lambda device, status: self.caretaker.take_status(device, status, self._loop.time())
        self.on_change: Callable[[], None] = lambda: None
        self.connection = LoopConnection(
            settings,
            Handlers(
                on_up=self._on_up,
                on_down=self._on_down,
                on_refused=self._on_refused,
                on_message=self._on_message,
            ),
            client_id=client_id,
            subscriptions=reception.subscriptions,
            persistent=persistent,
        )

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self.connection.up is not None

    def _ask(self, device: str, request: bytes) -> None:
        self.connection.publish(self._topics.request(device, "resend"), request)

    def _on_message(self, topic: str, payload: bytes, _: bool) -> None:
        try:
            self.reception.take(topic, payload)
        except Exception:
            log.exception("%s: a message of %d bytes could not be taken", topic, len(payload))

    def _on_up(self, up: Up) -> None:
        resumed = ", session resumed" if up.session_present else ""
        log.info(
            "broker: connected to %s with MQTT %s%s",
            self.connection.where,
            up.protocol,
            resumed,
            extra={**self._which("broker_up"), "protocol": up.protocol, "resumed": up.session_present},
        )
        self.on_change()

    def _on_down(self, why: str) -> None:
        log.warning("broker: connection lost: %s", why, extra={**self._which("broker_down"), "reason": why})
        self.on_change()

    def _on_refused(self, why: str) -> None:
        log.warning("broker: %s; trying again", why, extra={**self._which("broker_refused"), "reason": why})

    def _which(self, event: str) -> dict[str, str]:
        return {"event": event, "broker": self.connection.where}


class Ingest:
    """All brokers."""

    def __init__(self, sources: list[Source], on_change: Callable[[], None]) -> None:
        self.sources = sources
        self._looked_after = asyncio.get_running_loop().time()
        for source in sources:
            source.on_change = on_change

    @property
    def alive(self) -> bool:
        """Whether it makes progress, with or without a broker."""
        late = asyncio.get_running_loop().time() - self._looked_after > STALLED_S
        return not late and all(source.connection.kept_up for source in self.sources)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to every broker."""
        return all(source.connected for source in self.sources)

    @property
    def undecodable(self) -> int:
        """Payloads that were no messages."""
        return sum(sum(source.reception.undecodable.values()) for source in self.sources)

    def start(self) -> None:
        """Connect, and stay connected."""
        for source in self.sources:
            source.connection.start()

    async def run(self) -> None:
        """Look after what is missing, for as long as the relay runs."""
        while True:
            await asyncio.sleep(PERIOD_S)
            for source in self.sources:
                if source.connected:
                    source.caretaker.tick(asyncio.get_running_loop().time())
            self._looked_after = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """Disconnect."""
        await asyncio.gather(*(asyncio.to_thread(source.connection.stop) for source in self.sources))
