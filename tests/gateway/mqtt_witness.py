"""A connection under test, and who remembers all that it tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boards.options import parse_options
from gateway.mqtt import Connection, Handlers, Up
from gateway.mqtt_settings import MqttSettings
from tests.support.waiting import wait_until


class Witness:
    """Remembers all that a connection tells."""

    def __init__(self) -> None:
        self.ups: list[Up] = []
        self.downs: list[str] = []
        self.refusals: list[str] = []
        self.messages: list[tuple[str, bytes, bool]] = []
        self.acknowledged: list[int] = []
        self.rejected: list[tuple[int, str]] = []
        self.handlers = Handlers(
            on_up=self.ups.append,
            on_down=self.downs.append,
            on_refused=self.refusals.append,
            on_message=lambda topic, payload, retained: self.messages.append((topic, payload, retained)),
            on_acknowledged=self.acknowledged.append,
            on_rejected=lambda number, why: self.rejected.append((number, why)),
        )


@contextmanager
def connected(settings: MqttSettings, witness: Witness, **options: Any) -> Iterator[Connection]:
    connection = Connection(settings, witness.handlers, client_id="test", **options)
    connection.start()
    try:
        yield connection
    finally:
        connection.stop()


def up_of(connection: Connection) -> Up:
    up = wait_until(lambda: connection.up, "the connection")
    assert up is not None
    return up


def settings_for(url: str, **more: Any) -> MqttSettings:
    return parse_options(MqttSettings, {"url": url, **more}, "test")
