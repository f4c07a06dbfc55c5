"""A serial port server after RFC 2217, made of pyserial's own PortManager: what ser2net is on a network."""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType
from typing import Self

import serial
from serial.rfc2217 import PortManager


class _Terminal(serial.Serial):  # type: ignore[misc]
    """A pseudo-terminal has no modem lines, which PortManager reads and sets."""

    cts = dsr = ri = cd = rts = dtr = break_condition = False


class _Writer:
    """A socket as PortManager wants it."""

    def __init__(self, client: socket.socket) -> None:
        self.write = client.sendall


class Rfc2217Server:
    """Serves one port to one client at a time, on the loop-back interface."""

    def __init__(self, port: str) -> None:
        self._serial = _Terminal(port, timeout=0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self.baud = 0
        """What the client has set."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._listener.close()
        self._serial.close()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            if select.select([self._listener], [], [], 0.05)[0]:
                client, _ = self._listener.accept()
                with client:
                    self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        manager = PortManager(self._serial, _Writer(client))
        while not self._stopping.is_set():
            ready, _, _ = select.select([client, self._serial.fileno()], [], [], 0.05)
            if client in ready:
                data = client.recv(1024)
                if not data:
                    return
                self._serial.write(b"".join(manager.filter(data)))
                self.baud = self._serial.baudrate
            if self._serial.fileno() in ready:
                client.sendall(b"".join(manager.escape(self._serial.read(1024))))
