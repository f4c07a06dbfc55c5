"""The one way to connect to a broker.

A `Connection` is kept up for as long as it is wanted: it tries with backoff from the first attempt on, speaks
MQTT 5 and falls back to 3.1.1 for brokers that know no better. Each connection is a new MQTT client; what was
not acknowledged is the owner's to send again, so nothing is kept here that could be lost here.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.backoff import Backoff
from gateway.errors import BrokerError
from gateway.mqtt_settings import MqttSettings

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
GOODBYE_S = 1.0
"""How long a connection that is taken down may need to send what is left."""
UNLIMITED = 65535
"""The receive maximum where the broker names none: MQTT 5, section 3.2.2.3.3."""
SESSION_EXPIRY_S = 24 * 3600
UNSUPPORTED_PROTOCOL = {1, 132}
"""CONNACK codes for a version that the broker does not speak: MQTT 3.1.1 table 3.1, MQTT 5 section 3.2.2.2."""
_ALERT = re.compile(r"alert ([a-z ]*[a-z])")
"""What OpenSSL makes of a TLS alert."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained, when the connection dies."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Up:
    """What the broker granted."""

    protocol: str
    """`5` or `3.1.1`."""
    receive_maximum: int
    """How many QoS 1 messages it takes at a time before acknowledging."""
    session_present: bool


def _send_at_once(_: paho.Client, __: Any, connected: Any) -> None:
    """Switch Nagle's algorithm off (RFC 9293, section 3.7.4).

    Otherwise whatever follows a QoS 0 message waits for the broker's delayed acknowledgement of that: 40 ms.
    """
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _nothing(*_: Any) -> None:
    return


@dataclass(slots=True)
class Handlers:
    """Called in the connection's network thread: return soon, and never raise."""

    on_up: Callable[[Up], None] = _nothing
    on_down: Callable[[str], None] = _nothing
    on_refused: Callable[[str], None] = _nothing
    """A try failed, and why; the next one follows by itself."""
    on_message: Callable[[str, bytes, bool], None] = _nothing
    """Topic, payload, retained."""
    on_acknowledged: Callable[[int], None] = _nothing
    """The broker has taken the QoS 1 message that `publish` gave this number."""
    on_rejected: Callable[[int, str], None] = _nothing
    """The broker answered that message with an error, and why: MQTT 5 alone has that."""


class Connection:
    """A connection to a broker that comes back by itself."""

    client_class: type[paho.Client] = paho.Client

    def __init__(
        self,
        settings: MqttSettings,
        handlers: Handlers,
        *,
        client_id: str,
        subscriptions: Sequence[str] = (),
        will: Will | None = None,
        persistent: bool = False,
    ) -> None:
        self._settings = settings
        self._handlers = handlers
        self._client_id = client_id
        self._subscriptions = subscriptions
        self._will = will
        self._persistent = persistent
        self._protocol = paho.MQTTv311 if settings.protocol == "3.1.1" else paho.MQTTv5
        self._client: paho.Client | None = None
        self._stopping = threading.Event()
        self._answered = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name=f"mqtt {client_id}", daemon=True)
        self._backoff = Backoff()
        self._refusal: str | None = None
        self._alert = ""
        self.up: Up | None = None
        """What was granted; None while there is no connection."""

    @property
    def where(self) -> str:
        """`host:port`, for messages."""
        return f"{self._settings.host}:{self._settings.port}"

    @property
    def kept_up(self) -> bool:
        """Whether somebody sees to it that there is a connection, or will be."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to connect. Raises BrokerError if the settings can never work, such as an unreadable key."""
        try:
            self._make_client()
        except (OSError, ssl.SSLError, ValueError) as error:
            raise BrokerError(f"cannot set up the connection to {self._settings.address}: {error}") from error
        self._thread.start()

    def stop(self, last: tuple[str, bytes] | None = None) -> None:
        """Take the connection down, after a last retained message if there is one, and stay down.

        If the broker does not acknowledge that message, it is left without a word, so that it publishes the will.
        """
        self._stopping.set()
        client = self._client
        if client is not None:
            if last is None or self.up is None or _delivered(client, *last):
                self._disconnect(client)
            else:
                _hang_up(client)
            self._ended.wait(GOODBYE_S)
        self._ended.set()
        self._answered.set()
        if self._thread.is_alive():
            self._thread.join(GOODBYE_S)  # a machine that is switched off is not waited for

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, content_type: str | None = None
    ) -> int | None:
        """Hand a message to the broker; its number, or None if there is no connection."""
        client = self._client
        if client is None or self.up is None:
            return None
        properties = None
        if content_type is not None and self._protocol == paho.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = content_type
        info = client.publish(topic, payload, qos, retain, properties)
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def _keep_up(self) -> None:
        tried_other = False
        while not self._stopping.is_set():
            spoken = self._protocol
            refusal = self._connect_once()
            if self._stopping.is_set():
                return
            if self._protocol != spoken and not tried_other:
                tried_other = True
                continue  # the broker may only not know this version: that is no refusal yet
            tried_other = False
            if refusal is not None:
                self._handlers.on_refused(refusal)
            self._stopping.wait(self._backoff.next_s())

    def _connect_once(self) -> str | None:
        """One connection from its beginning to its end; why it could not be made, or None if it was."""
        self._refusal = f"{self.where}: no answer to the attempt to connect"
        self._alert = ""
        self._answered.clear()
        self._ended.clear()  # before the attempt: it may end while it begins
        try:
            client = self._make_client()
            self._open(client)
        except (OSError, ValueError) as error:  # files of passwords and keys may come and go
            return f"{self.where}: {getattr(error, 'strerror', None) or error}"
        self._client = client
        self._drive(client)
        if self._stopping.is_set():
            self._disconnect(client)
        if self._answered.wait(CONNECT_TIMEOUT_S):
            self._ended.wait()
        else:
            self._try_other_protocol()
        self._client = None
        self._release(client)
        return self._refusal

    def _drive(self, client: paho.Client) -> None:
        """Have the client's network work done from now on: in a thread of its own."""
        client.loop_start()

    def _disconnect(self, client: paho.Client) -> None:
        """Have the client say goodbye."""
        client.disconnect()

    def _release(self, client: paho.Client) -> None:
        """The client's network work is over."""
        client.loop_stop()

    def _try_other_protocol(self) -> None:
        """A broker that did not answer may be one that stumbles over the newer version."""
        if self._settings.protocol == "auto":
            self._protocol = paho.MQTTv311 if self._protocol == paho.MQTTv5 else paho.MQTTv5

    def _open(self, client: paho.Client) -> None:
        if self._protocol == paho.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            if self._persistent:
                properties.SessionExpiryInterval = SESSION_EXPIRY_S
            client.connect(
                self._settings.host,
                self._settings.port,
                self._settings.keepalive,
                clean_start=not self._persistent,
                properties=properties,
            )
        else:
            client.connect(self._settings.host, self._settings.port, self._settings.keepalive)

    def _make_client(self) -> paho.Client:
        client = self.client_class(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=self._protocol,
            clean_session=None if self._protocol == paho.MQTTv5 else not self._persistent,
            reconnect_on_failure=False,
        )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_socket_open = _send_at_once
        client.on_log = self._on_log
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(UNLIMITED)
        client.max_queued_messages_set(0)
        user, password = self._settings.credentials()
        if user is not None or password is not None:
            client.username_pw_set(user or "", password)
        tls = self._settings.tls()
        if tls is not None:
            client.tls_set_context(tls)
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        return client

    def _on_connect(
        self,
        client: paho.Client,
        _: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._answered.set()
        client.on_log = None  # it costs something with every message
        if reason.is_failure:
            self._refusal = f"{self.where}: the broker refused: {reason}"
            if reason.value in UNSUPPORTED_PROTOCOL and self._protocol == paho.MQTTv5:
                self._try_other_protocol()
            return
        self._refusal = None
        self._backoff.reset()
        for topic in self._subscriptions:
            client.subscribe(topic, qos=1)
        modern = self._protocol == paho.MQTTv5
        receive_maximum = getattr(properties, "ReceiveMaximum", UNLIMITED) if modern else UNLIMITED
        # paho does not look at it, and its setter is for closed connections; nothing is on its way yet
        client._max_inflight_messages = receive_maximum
        self.up = Up("5" if modern else "3.1.1", receive_maximum, flags.session_present)
        self._handlers.on_up(self.up)

    def _on_log(self, _: paho.Client, __: Any, level: int, text: str) -> None:
        """What a broker thinks of a certificate it says, if at all, after the handshake (RFC 8446, 4.4.2.4)."""
        alert = _ALERT.search(text) if level == paho.MQTT_LOG_ERR else None
        self._alert = alert[1] if alert else self._alert

    def _hung_up(self) -> str:
        """Why the broker may have hung up instead of answering."""
        said = f" ({self._alert})" if self._alert else ""
        asked = (
            ": does it want a client's certificate (mqtt.cert, mqtt.key), or is this one ended, revoked, or of "
            "another authority?"
        )
        return f"{self.where}: the broker hung up{said}{asked if self._settings.secure else ''}"

    def _on_disconnect(
        self, _: paho.Client, __: Any, ___: paho.DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        if self.up is not None:
            self.up = None
            if not self._stopping.is_set():
                self._handlers.on_down(f"{self.where}: {reason}")
        elif not self._answered.is_set():
            self._refusal = self._hung_up()
            self._try_other_protocol()
        self._ended.set()
        self._answered.set()

    def _on_message(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        self._handlers.on_message(message.topic, bytes(message.payload), message.retain)

    def _on_publish(self, _: paho.Client, __: Any, mid: int, reason: ReasonCode, ___: Properties) -> None:
        if reason.is_failure:
            self._handlers.on_rejected(mid, str(reason))
        else:
            self._handlers.on_acknowledged(mid)


def _delivered(client: paho.Client, topic: str, payload: bytes) -> bool:
    """Publish, retained, and wait for the acknowledgement."""
    info = client.publish(topic, payload, qos=1, retain=True)
    try:
        info.wait_for_publish(GOODBYE_S)
        return info.is_published()
    except (RuntimeError, ValueError):  # there was no connection any more
        return False


def _hang_up(client: paho.Client) -> None:
    """End the connection without a DISCONNECT."""
    connection = client.socket()
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
