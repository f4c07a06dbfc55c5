"""A real broker as `headwater provision` sets it up, and clients with certificates that are paho alone."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.provision.folder import Folder
from gateway.provision.install import install
from gateway.provision.register import LIFETIME, Broker, Client, Role
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
ME = pwd.getpwuid(os.getuid()).pw_name


def now() -> datetime:
    """The time, as certificates have it."""
    return datetime.now(UTC)


class Provisioned:
    """A provisioning folder of a test, for a broker on a port of its own."""

    def __init__(self, directory: Path, *, made: datetime | None = None, **broker: Any) -> None:
        self.directory = directory
        self.path = directory / "pki"
        self.port = free_port()
        at = str(directory / "mosquitto")
        settings = Broker(hosts=(HOST,), port=self.port, bind=HOST, folder=at, **broker)
        Folder.make(self.path, "headwater", settings, made or now(), LIFETIME)

    def add(
        self,
        role: Role,
        name: str,
        streams: Sequence[str] = ("*/*",),
        *,
        lifetime: timedelta = LIFETIME,
        at: datetime | None = None,
    ) -> Path:
        """A client, whose files stay where they are."""
        place = self.path / f"{role}s" / name
        client = Client(role=role, host=HOST, at=str(place), streams=tuple(streams) if role == "reader" else ())
        with Folder.open(self.path) as folder:
            return folder.add(name, client, at or now(), lifetime)

    def renew(self, name: str, **options: Any) -> Path:
        """A newer certificate of that name."""
        with Folder.open(self.path) as folder:
            return folder.renew(name, now(), LIFETIME, **options)

    def revoke(self, name: str) -> int:
        """No certificate of that name is good any more."""
        with Folder.open(self.path) as folder:
            return folder.revoke(name, now())

    def install(self) -> set[str]:
        """Give the broker what it is to know."""
        conf = self.directory / "conf.d" / "headwater.conf"
        conf.parent.mkdir(exist_ok=True)
        return install(self.path / "broker", self.directory / "mosquitto", conf, ME)


class SecureMosquitto(Mosquitto):
    """Mosquitto with the configuration that was provisioned, included from another one as Debian's is."""

    def __init__(self, provisioned: Provisioned) -> None:
        super().__init__(provisioned.directory)
        self.provisioned = provisioned
        self.port = provisioned.port

    @property
    def url(self) -> str:
        return f"mqtts://{HOST}:{self.port}"

    def reload(self) -> None:
        """Install what changed and send SIGHUP; returns when it is in force."""
        self.provisioned.install()
        count = self.log.count("Reloading config")
        os.kill(self.pid, signal.SIGHUP)
        wait_until(lambda: self.log.count("Reloading config") > count, "the reload")

    def _write_config(self) -> Path:
        self.provisioned.install()
        directory = self.provisioned.directory
        path = directory / "mosquitto.conf"
        path.write_text(
            f"user {ME}\npersistence true\npersistence_location {directory}/\ninclude_dir {directory}/conf.d\n"
        )
        return path


def context_of(bundle: Path, ca: Path | None = None) -> ssl.SSLContext:
    """TLS with a client's files."""
    context = ssl.create_default_context(cafile=str(ca or bundle / "ca.pem"))
    context.load_cert_chain(bundle / "cert.pem", bundle / "key.pem")
    return context


class Certified:
    """A client with a certificate. It hears what it subscribed to, and what the broker answers."""

    def __init__(
        self,
        port: int,
        tls: ssl.SSLContext | None,
        *topics: str,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
        client_id: str = "",
        will: tuple[str, bytes] | None = None,
        user: str | None = None,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answers: list[int] = []
        """The reason code of each acknowledgement of what it published."""
        self._subscribed = 0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        self._client.on_message = lambda _, __, message: self.heard.append((message.topic, bytes(message.payload)))
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = lambda *answer: self.answers.append(answer[3].value)
        if tls is not None:
            self._client.tls_set_context(tls)
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)
        if user is not None:
            self._client.username_pw_set(user, "any")
        self._ended = False
        self._client.on_disconnect = self._on_disconnect
        self._client.connect(HOST, port)
        self._client.loop_start()
        wait_until(lambda: self._client.is_connected() or self._ended, f"an answer on port {port}")
        if not self._client.is_connected():
            self.close()
            raise ConnectionRefusedError
        for topic in topics:
            self._client.subscribe(topic, qos=1)
        wait_until(lambda: self._subscribed == len(topics), "the subscriptions")

    @property
    def connected(self) -> bool:
        """Whether the broker has not ended the connection."""
        return not self._ended

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> int:
        """Returns when the broker has answered, with the reason code."""
        count = len(self.answers)
        self._client.publish(topic, payload, qos=1, retain=retain)
        wait_until(lambda: len(self.answers) > count, f"the answer to {topic}")
        return self.answers[-1]

    def wait_for(self, topic: str) -> list[tuple[str, bytes]]:
        """Wait until something came on that topic; all that came."""
        wait_until(lambda: any(heard == topic for heard, _ in self.heard), f"a message on {topic}")
        return list(self.heard)

    def break_off(self) -> None:
        """End the connection without a word."""
        connection = self._client.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)

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

    def _on_disconnect(self, *_: Any) -> None:
        self._ended = True
