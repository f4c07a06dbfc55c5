"""systemd's notification protocol: sd_notify(3) and sd_watchdog_enabled(3), without their library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Tells systemd how things are; does nothing where nobody listens.

    May be overridden: `send`.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_s = _watchdog_s(environment)
        """How long the watchdog waits for `alive`; None if there is none. Half of it is how often to say so."""

    def ready(self) -> None:
        """The start, or the reload, is done."""
        self.send("READY=1")

    def alive(self) -> None:
        """Everything goes on."""
        self.send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self.send(f"STATUS={text}")

    def reloading(self) -> None:
        """What was configured is being read anew; `ready` follows."""
        self.send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The stop has begun."""
        self.send("STOPPING=1")

    def send(self, message: str) -> None:
        """Send one notification: assignments, one a line."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            try:
                out.sendto(message.encode(), self._address)
            except OSError:
                return  # a service manager that is gone, or does not read, is no reason to stop sampling


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    pid, microseconds = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    if pid not in ("", str(os.getpid())) or not microseconds.isascii() or not microseconds.isdigit():
        return None
    return int(microseconds) / 1e6 or None
