"""The broker on this computer that boards publish to: mosquitto as `headwater provision` configures it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.mqtt_settings import MqttSettings
from tests.support.mosquitto import SBIN
from tests.support.ports import accepts, free_port
from tests.support.processes import ROOT, RunningProcess
from tests.support.waiting import wait_until

DEVICE = "bbb1"
READER = "reader1"
CERTIFICATES = "/etc/headwater/device"
"""Where the device has its own."""


class Broker:
    """Everybody needs a certificate, but for programs of this computer on the plain port."""

    def __init__(self, folder: Path, hosts: Sequence[str], bind: str = "127.0.0.1") -> None:
        """`hosts` are its names and addresses as the board sees them; it listens on `bind`."""
        self.folder = folder
        self.pki = folder / "pki"
        self.port = free_port()
        self.plain_port = free_port()
        self._hosts = hosts
        self._bind = bind
        self._process: RunningProcess | None = None

    def __enter__(self) -> Self:
        plain = ["--plain", str(self.plain_port), "--at", str(self.folder / "broker"), "--bind", self._bind]
        hosts = [word for host in (*self._hosts, "127.0.0.1") for word in ("--broker", host)]
        self._provision("init", str(self.pki), "--port", str(self.port), *plain, *hosts)
        self._provision("device", DEVICE, "--dir", str(self.pki))
        self._provision("reader", READER, "--dir", str(self.pki))
        user = pwd.getpwuid(os.getuid()).pw_name
        conf = self.folder / "mosquitto.conf"
        self._provision("install", "--dir", str(self.pki), "--conf", str(conf), "--owner", user)
        conf.write_text(conf.read_text() + f"user {user}\n")
        self._process = RunningProcess([f"{SBIN}/mosquitto", "-v", "-c", str(conf)])
        process = self._process
        wait_until(lambda: accepts(self.port, self._bind) or not process.running, "mosquitto")
        assert process.running, process
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.__exit__(None, None, None)

    @property
    def log(self) -> str:
        """What it has logged."""
        assert self._process is not None
        return self._process.err + self._process.out

    @property
    def plain_url(self) -> str:
        """Where programs of this computer read everything."""
        return f"mqtt://127.0.0.1:{self.plain_port}"

    @property
    def device_files(self) -> Path:
        """What the device needs: key, certificates, and its table [mqtt]."""
        return self.pki / "devices" / DEVICE

    def reader_settings(self) -> MqttSettings:
        """How a reader with a certificate of its own connects from this computer."""
        files = self.pki / "readers" / READER
        return MqttSettings(
            url=f"mqtts://{self._bind}:{self.port}",
            ca=files / "ca.pem",
            cert=files / "cert.pem",
            key=files / "key.pem",
        )

    def _provision(self, *words: str) -> None:
        command = [sys.executable, "-m", "gateway", "provision", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
