"""What systemd would hear: a socket for notifications, as sd_notify(3) describes it."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import PATIENCE_S


class Notifications:
    """A listener at a path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE_S)

    def environment(self, watchdog_s: float | None = None) -> dict[str, str]:
        """What systemd would start a service with."""
        watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))}
        return {"NOTIFY_SOCKET": str(self.path), **watchdog}

    def next(self) -> str:
        """The next notification."""
        return self._socket.recv(4096).decode()

    def wait_for(self, start: str) -> list[str]:
        """What was said before the next one that begins so."""
        before: list[str] = []
        while not (said := self.next()).startswith(start):
            before.append(said)
        return before

    def forget(self) -> list[str]:
        """Read what was said so far."""
        said = []
        self._socket.setblocking(False)
        try:
            while True:
                said.append(self.next())
        except BlockingIOError:
            self._socket.settimeout(PATIENCE_S)
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
