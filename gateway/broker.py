"""The embedded broker of the demo and of tests: amqtt, MQTT 3.1.1, in this process.

On devices and servers a broker of its own, such as mosquitto, does this work.
"""

from __future__ import annotations

import logging
import socket
from types import TracebackType
from typing import Self

from gateway.errors import HeadwaterError, ListenError

try:
    from amqtt.broker import Broker
    from amqtt.errors import AMQTTError
    from amqtt.session import Session
except ImportError:
    raise HeadwaterError(
        "the embedded broker is not installed: pip install 'headwater[demo]'; on Debian rather "
        "'sudo apt install mosquitto', which listens on mqtt://127.0.0.1:1883"
    ) from None


class _Broker(Broker):  # type: ignore[misc]
    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        # amqtt 0.12 walks through the filters of all clients when one connects; only its own are its business
        if any(subscriber is session for subscriber, _ in self._subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)


class EmbeddedBroker:
    """An MQTT broker on one address, for as long as the `async with` lasts."""

    PROTOCOL = "3.1.1"
    """What it speaks; it does not answer every MQTT 5 client."""

    def __init__(self, host: str = "127.0.0.1", port: int = 1883, port_option: str = "--mqtt-port") -> None:
        self.host = host
        self.port = port
        self._port_option = port_option
        for noisy in ("amqtt", "transitions"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        self._broker: Broker | None = None

    async def __aenter__(self) -> Self:
        check_port(self.host, self.port, self._port_option)
        self._broker = _Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
                "plugins": {
                    "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
                },
            }
        )
        try:
            await self._broker.start()
        except (AMQTTError, OSError) as error:
            raise ListenError(f"the embedded broker cannot start on {self.host}:{self.port}: {error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._broker is not None:
            await self._broker.shutdown()
            self._broker = None


def check_port(host: str, port: int, option: str) -> None:
    """Raise ListenError, naming the option that chooses another, if the port cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ListenError(
                f"cannot listen on {host} port {port}: {error.strerror}; choose another with {option}"
            ) from error
