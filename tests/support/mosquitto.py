"""A real broker: mosquitto, in a process of its own, that can be stopped, killed and brought back."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import accepts, free_port
from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until

SBIN = "/usr/sbin"
"""Debian puts mosquitto there, which is not in every user's PATH."""


class Mosquitto:
    """One broker on one port of 127.0.0.1, through all its restarts.

    `users` maps names to passwords; without it everybody may connect. `settings` are further lines of
    mosquitto.conf(5). A `quiet` one does not log what passes through it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        users: Mapping[str, str] | None = None,
        persistence: bool = False,
        settings: Mapping[str, str | int] | None = None,
        quiet: bool = False,
    ) -> None:
        self.port = free_port()
        self._directory = directory
        self._users = users
        self._persistence = persistence
        self._settings = dict(settings or {})
        self._options = () if quiet else ("-v",)
        self._process: RunningProcess | None = None

    @property
    def url(self) -> str:
        """Where it is, as Headwater's configuration has it."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process's id; it must be running."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged since it was started."""
        return self._process.err if self._process else ""

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process = RunningProcess([_program("mosquitto"), *self._options, "-c", str(self._write_config())])
        process = self._process
        wait_until(lambda: accepts(self.port) or not process.running, f"mosquitto on port {self.port}")
        if not process.running:
            raise AssertionError(f"mosquitto did not start: {process}")

    def stop(self) -> None:
        """SIGTERM, as a restart of the service does."""
        if self._process is not None:
            self._process.terminate()
            self._close()

    def kill(self) -> None:
        """SIGKILL, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._close()

    def restart(self) -> None:
        """Stop it and start it again on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _close(self) -> None:
        assert self._process is not None
        self._process.__exit__(None, None, None)
        self._process = None

    def _write_config(self) -> Path:
        lines = {
            "listener": f"{self.port} 127.0.0.1",
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "allow_anonymous": "false" if self._users else "true",
            "set_tcp_nodelay": "true",
            **({"password_file": self._write_passwords()} if self._users else {}),
            **(
                {"persistence": "true", "persistence_location": f"{self._directory}/"} if self._persistence else {}
            ),
            **self._settings,
        }
        path = self._directory / f"mosquitto-{self.port}.conf"
        path.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
        return path

    def _write_passwords(self) -> Path:
        path = self._directory / f"mosquitto-{self.port}.passwords"
        path.touch(mode=0o600)
        for user, password in (self._users or {}).items():
            subprocess.run([_program("mosquitto_passwd"), "-b", str(path), user, password], check=True)
        return path


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=SBIN)
    if found is None:
        raise RuntimeError(f"{name} is not installed: the tests need the Debian package 'mosquitto'")
    return found
