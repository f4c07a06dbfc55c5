"""Serial ports: finding, opening and reading them through pyserial. The only file that does."""

from __future__ import annotations

import errno
import os
import re
import select
import termios
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import serial
from serial.tools import list_ports

from boards.errors import SourceLost
from boards.serial.options import SerialOptions
from boards.serial.simulated import PluggedIn, is_simulated

CHUNK_BYTES = 4096
WRITE_PATIENCE_S = 1.0

PARITIES = {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}

_FAILURES = (serial.SerialException, OSError, termios.error)
"""What the kernel and pyserial raise of a port that is not as it should be; termios.error is no OSError."""

_USB_ID = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(?::(.+))?")


class Port:
    """An open port. Every failure is a SourceLost that says what to do."""

    def __init__(self, options: SerialOptions) -> None:
        """Open it, for us alone, drop what it holds and send `init`."""
        self._instrument = PluggedIn(options.port) if is_simulated(options.port) else None
        self.name = str(self._instrument.link) if self._instrument else find_port(options.port)
        try:
            self._serial: Any = serial.serial_for_url(
                self.name,
                do_not_open=True,
                baudrate=options.baud,
                bytesize=options.bytesize,
                parity=PARITIES[options.parity],
                stopbits=options.stopbits,
                rtscts=options.rtscts,
                xonxoff=options.xonxoff,
                exclusive=True,
                # RFC 2217 ports refuse to be given one
                write_timeout=None if self.name.startswith("rfc2217:") else WRITE_PATIENCE_S,
            )
            if options.dtr is not None:
                self._serial.dtr = options.dtr
            if options.rts is not None:
                self._serial.rts = options.rts
            self._serial.open()
        except (*_FAILURES, ValueError) as error:
            self._unplug_simulated()
            raise SourceLost(explain(error, self.name)) from error
        self._file = _file_of(self._serial)
        if options.init_bytes:
            self._send(options.init_bytes)

    def _send(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except _FAILURES as error:
            self.close()
            raise SourceLost(f"{self.name} does not take the init bytes: {error}") from error

    def read(self, patience_s: float) -> bytes:
        """What has come, or comes first within the time; empty if nothing did."""
        try:
            return self._read_queue(patience_s) if self._file is None else self._read_file(self._file, patience_s)
        except (*_FAILURES, TypeError) as error:  # pyserial's TypeError: closed meanwhile
            raise SourceLost(f"{self.name} went away: {error}") from error

    def _read_file(self, file: int, patience_s: float) -> bytes:
        ready, _, _ = select.select([file], [], [], patience_s)
        if not ready:
            return b""
        try:
            chunk = os.read(file, CHUNK_BYTES)
        except BlockingIOError:
            return b""
        if not chunk:
            raise OSError(errno.EIO, "the other end hung up")
        return chunk

    def _read_queue(self, patience_s: float) -> bytes:
        if self._serial.timeout != patience_s:
            self._serial.timeout = patience_s
        first: bytes = self._serial.read(1)
        waiting = min(self._serial.in_waiting, CHUNK_BYTES)
        return first + self._serial.read(waiting) if first and waiting else first

    def close(self) -> None:
        """Give it back; may be called twice."""
        with suppress(*_FAILURES):
            self._serial.close()
        self._unplug_simulated()

    def _unplug_simulated(self) -> None:
        if self._instrument is not None:
            self._instrument.stop()


def _file_of(port: Any) -> int | None:
    """The descriptor to read from; None where pyserial reads in a thread of its own or in memory."""
    try:
        file: int = port.fileno()
    except (AttributeError, OSError):
        return None
    return file


def find_port(name: str, known: Iterable[Any] | None = None) -> str:
    """The path or URL of a port; `usb:` names are looked up among `known`, by default this machine's ports.

    `usb:0403:6001` is a vendor and product, `usb:0403:6001:A50285BI` one serial number of them,
    `usb:A50285BI` a serial number alone. Raises SourceLost if no port is that one.
    """
    if not name.startswith("usb:"):
        return name
    wanted = name.removeprefix("usb:")
    ports = sorted(list_ports.comports() if known is None else known)
    for port in ports:
        if port.vid is not None and _is_usb(port, wanted):
            return str(port.device)
    there = ", ".join(f"usb:{p.vid:04x}:{p.pid:04x}:{p.serial_number or ''}" for p in ports if p.vid is not None)
    raise SourceLost(f"there is no serial port {name!r}; plugged in: {there or 'no USB port'}")


def _is_usb(port: Any, wanted: str) -> bool:
    match = _USB_ID.fullmatch(wanted)
    if match is None:
        return bool(port.serial_number == wanted)
    vendor, product, number = match.groups()
    ids = (int(vendor, 16), int(product, 16))
    return bool((port.vid, port.pid) == ids and number in (None, port.serial_number))


def explain(error: Exception, name: str) -> str:
    """Why a port could not be opened, and what to do."""
    code = getattr(error, "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        return f"{name} may not be opened by this user: add it to the group dialout (usermod -aG dialout USER)"
    if code == errno.ENOENT:
        there = ", ".join(str(port.device) for port in sorted(list_ports.comports()))
        return f"there is no port {name}; there are {there or 'none'}"
    if code in (errno.EAGAIN, errno.EBUSY):
        return f"{name} is in use by another program"
    return f"{name} cannot be opened: {error}"


def has_no_wire(name: str) -> bool:
    """Whether the baud rate says nothing of how fast bytes come: sockets, memory, and USB modems."""
    return name.startswith(("socket:", "loop:")) or "/ttyACM" in os.path.realpath(name)
