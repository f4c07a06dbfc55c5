"""Simulated instruments behind real pseudo-terminals: ports that can be opened, read and pulled out.

Pseudo-terminals ignore the baud rate, so the bytes are paced here. Faults come on request or at a given row.
"""

from __future__ import annotations

import os
import random
import select
import tempfile
import threading
import time
import tty
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from boards.errors import BadOption
from boards.serial.instruments import INSTRUMENTS, Instrument, make_instrument

SCHEME = "simulated:"
"""What a port's name begins with if it is to be one of these: `simulated:oximeter`."""

LONGEST_PIECE = 16
"""Bytes written at once, as from a UART's FIFO."""


@dataclass(frozen=True, slots=True)
class Garble:
    """The row's bytes are damaged: it can't be decoded."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes between the row before and this one."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing is sent for a while; what was due meanwhile follows after it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Unplug:
    """The cable is pulled in the middle of the row, until `replug()`."""


Fault = Garble | Garbage | Silence | Unplug


class SimulatedInstrument:
    """An instrument that talks on a pseudo-terminal in a thread of its own.

    `link` is a path that stands for the port, as udev's links do: it vanishes on unplugging, and names the new
    terminal after `replug()`. Rows go on being due while the cable is out. It talks at its rate and its line's
    baud, both times `speed`, and what nobody reads in time is dropped; with `realtime=False` it talks as
    fast as it is read, waits for its reader and for the cable, and loses nothing but what faults take.
    """

    def __init__(
        self,
        instrument: Instrument,
        link: Path,
        *,
        seed: int = 0,
        realtime: bool = True,
        speed: float = 1.0,
        rows: int | None = None,
        faults: Mapping[int, Fault] | None = None,
    ) -> None:
        self.instrument = instrument
        self.link = link
        self.sent = 0
        """Rows that were due so far: sent, garbled or while unplugged."""
        self.garbled = 0
        self.unsent = 0
        """Rows cut by unplugging, or due while unplugged."""
        self.dropped_bytes = 0
        """Bytes for which the terminal had no room, as nobody read."""
        self.received = b""
        """The last bytes that the reader sent, such as an init command."""
        self._realtime = realtime
        self._rate = instrument.rate * speed
        self._byte_s = 10 / instrument.options["baud"] / speed
        self._rows = rows
        self._faults = dict(faults or {})
        self._requests: deque[Fault] = deque()
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._plugged = threading.Event()
        self._lock = threading.Lock()
        self._master = self._slave = -1
        self._thread = threading.Thread(target=self._talk, name=f"instrument {link.name}", daemon=True)

    def start(self) -> None:
        """Plug in, and talk."""
        self.replug()
        self._thread.start()

    def join(self) -> None:
        """Wait until all `rows` were due."""
        self._thread.join()

    def stop(self) -> None:
        """Fall silent for good and remove the port."""
        self._stopping.set()
        self._plugged.set()
        if self._thread.is_alive():
            self._thread.join()
        self.unplug()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def request(self, fault: Fault) -> None:
        """Let the fault happen at the next row."""
        self._requests.append(fault)

    def unplug(self) -> None:
        """Pull the cable now; whoever reads sees the port hang up."""
        with self._lock:
            self._plugged.clear()
            self.link.unlink(missing_ok=True)
            for file in (self._master, self._slave):
                if file >= 0:
                    os.close(file)
            self._master = self._slave = -1

    def replug(self) -> None:
        """Plug in again, as a new terminal under the same link."""
        with self._lock:
            if self._master >= 0:
                return
            self._master, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.link.symlink_to(os.ttyname(self._slave))
            self._plugged.set()

    def _talk(self) -> None:
        began = time.monotonic()
        row = 0
        while not self._stopping.is_set() and row != self._rows:
            if self._realtime:
                self._pause(began + row / self._rate - time.monotonic())
            else:
                self._plugged.wait()
            self._say(row)
            row += 1
            self.sent = row
            self._listen()

    def _say(self, row: int) -> None:
        data = self.instrument.encode(row)
        faults = [self._requests.popleft() for _ in range(len(self._requests))]
        if row in self._faults:
            faults.append(self._faults[row])
        cut = False
        for fault in faults:
            match fault:
                case Garble():
                    data = self._garble(data)
                    self.garbled += 1
                case Garbage():
                    self._write(fault.data)
                case Silence():
                    self._pause(fault.seconds)
                case Unplug():
                    self._write(data[: len(data) // 2])
                    self.unplug()
                    cut = True
        if cut or not self._write(data):
            self.unsent += 1

    def _garble(self, data: bytes) -> bytes:
        """Damage that no format takes for a value, and that leaves the row's end where it was."""
        middle = len(data) // 2
        damaged = bytes(byte ^ 0xFF or 0x80 for byte in data[middle - 2 : middle])
        return data[: middle - 2] + damaged + data[middle:]

    def _write(self, data: bytes) -> bool:
        """Send in pieces of any size, paced by the baud rate; False if the cable was out before the end."""
        began = time.monotonic()
        done = 0
        while done < len(data):
            piece = data[done : done + self._random.randint(1, LONGEST_PIECE)]
            done += len(piece)
            if self._realtime:
                self._pause(began + done * self._byte_s - time.monotonic())
            if not self._put(piece):
                return False
        return True

    def _put(self, piece: bytes) -> bool:
        while piece and not self._stopping.is_set():
            with self._lock:
                if self._master < 0:
                    return False
                try:
                    piece = piece[os.write(self._master, piece) :]
                except BlockingIOError:
                    pass
                else:
                    continue
            if self._realtime:
                self.dropped_bytes += len(piece)
                return True
            self._pause(0.005)
        return True

    def _listen(self) -> None:
        with self._lock, suppress(OSError):
            if self._master >= 0 and select.select([self._master], [], [], 0)[0]:
                self.received = (self.received + os.read(self._master, 1024))[-1024:]

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._stopping.wait(seconds)


class PluggedIn(SimulatedInstrument):
    """The instrument that `simulated:KIND` names, from its plugging in to its `stop()`."""

    def __init__(self, name: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="headwater-")
        kind = name.removeprefix(SCHEME)
        super().__init__(make_instrument(kind), Path(self._folder.name) / kind)
        self.start()

    def stop(self) -> None:
        super().stop()
        self._folder.cleanup()


def is_simulated(name: str) -> bool:
    """Whether the port's name asks for a simulated instrument. Raises BadOption if there is none of that kind."""
    if not name.startswith(SCHEME):
        return False
    kind = name.removeprefix(SCHEME)
    if kind not in INSTRUMENTS:
        raise BadOption(
            f"serial: port: there is no simulated instrument {kind!r}; there are {', '.join(INSTRUMENTS)}"
        )
    return True
