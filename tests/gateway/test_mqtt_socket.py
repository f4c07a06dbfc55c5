"""What the kernel is told about a connection's socket."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import psutil

from gateway.mqtt import Connection, Handlers
from gateway.mqtt_settings import MqttSettings
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import PATIENCE_S


def test_no_message_waits_for_the_acknowledgement_of_the_one_before(tmp_path: Path) -> None:
    up = threading.Event()
    with Mosquitto(tmp_path) as broker:
        handlers = Handlers(on_up=lambda _: up.set())
        connection = Connection(MqttSettings(url=broker.url), handlers, client_id="nodelay")
        connection.start()
        try:
            assert up.wait(PATIENCE_S)
            (ours,) = [
                open_socket
                for open_socket in psutil.Process().net_connections("tcp")
                if open_socket.raddr and open_socket.raddr.port == broker.port
            ]
            with socket.socket(fileno=os.dup(ours.fd)) as copy:
                assert copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        finally:
            connection.stop()
