"""The opened device: set up, started, waited for and read. Everything of a capture that touches the kernel."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from boards.base import READ_PATIENCE_S
from boards.errors import BoardError, SourceLost
from boards.iio import am335x
from boards.iio.options import CaptureOptions
from boards.iio.scan import TIMESTAMP, Element
from boards.iio.sysfs import IioDevice, open_node

log = logging.getLogger(__name__)

LARGEST_BUFFER = 64 << 20
"""Bytes; the kernel's buffer and ours are no larger than that."""


class Tap:
    """A device's buffer, with the channels of one stream enabled."""

    def __init__(
        self,
        device: IioDevice,
        elements: Sequence[Element],
        scan_bytes: int,
        rate: Fraction,
        options: CaptureOptions,
    ) -> None:
        self.device = device
        self.declared: Fraction | None = None
        """The rate that the device says it runs at, once it is open."""
        self.capacity = 0
        """Scans that the kernel's buffer holds."""
        self._elements = elements
        self._size = scan_bytes
        self._rate = rate
        self._options = options
        self._fd = -1

    @property
    def channels(self) -> list[str]:
        """The names of the captured channels, without the time stamp."""
        return [element.name for element in self._elements if element.name != TIMESTAMP]

    def open(self, block_frames: int) -> None:
        """Set the device up and start it; it wakes the reader when about `block_frames` frames are there."""
        self._fd = open_node(self.device)
        try:
            self._configure()
            self._set_lengths(block_frames)
            self.device.write("buffer/enable", 1)
        except BaseException:
            self.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def close(self) -> None:
        """Stop the device. May be called twice."""
        if self._fd < 0:
            return
        with contextlib.suppress(BoardError):  # it may be gone; then there is nothing to stop
            self.device.write("buffer/enable", 0)
        os.close(self._fd)
        self._fd = -1

    def restart(self) -> None:
        """Stop and start: the driver empties its FIFO then, and the channels are in their places again."""
        self.device.write("buffer/enable", 0)
        while len(self.read()[0]):
            pass
        self._carried = 0
        self.device.write("buffer/enable", 1)

    def wait(self, until_ns: int) -> bool:
        """Sleep until then, and further until there is something; READ_PATIENCE_S in all.

        Returns whether the newest scan has just come: a driver without a watermark had some there already.
        """
        begin = time.monotonic_ns()
        time.sleep(max(0.0, min((until_ns - begin) / 1e9, READ_PATIENCE_S / 2)))
        if self._poll.poll(0):
            return False
        spent = (time.monotonic_ns() - begin) / 1e9
        return bool(self._poll.poll(max(0, int((READ_PATIENCE_S - spent) * 1000))))

    def read(self) -> tuple[NDArray[np.uint8], int, bool]:
        """The bytes of whole scans that are there, when they were read, and whether the buffer had been full.

        One read takes all that is there at once, so that it returns a full buffer if the buffer was full. The
        bytes are good until the next read. Raises SourceLost.
        """
        try:
            count = os.readv(self._fd, [self._bytes.data[self._carried :]])
        except BlockingIOError:
            return self._bytes[:0], time.monotonic_ns(), False
        except OSError as error:
            raise SourceLost(str(self.device.failure(error, f"read {self.device.node}"))) from error
        now = time.monotonic_ns()
        if count == 0:
            raise SourceLost(f"{self.device.id} ({self.device.name}): {self.device.node} has ended")
        whole = (self._carried + count) // self._size * self._size
        scans = self._bytes[:whole]
        rest = self._carried + count - whole
        if rest:
            scans = scans.copy()
            self._bytes[:rest] = self._bytes[whole : whole + rest]
        self._carried = rest
        return scans, now, count > (self.capacity - 1) * self._size

    def _configure(self) -> None:
        device = self.device
        if device.read("buffer/enable") == "1":
            log.warning("%s was left capturing by a process that died; it is stopped first", device.id)
            device.write("buffer/enable", 0)
        captured = {element.name for element in self._elements}
        for element in device.elements():
            device.write(f"scan_elements/in_{element.name}_en", int(element.name in captured))
        if TIMESTAMP in captured:
            device.write("current_timestamp_clock", "monotonic")
        if self._options.trigger is not None:
            self._set_trigger(self._options.trigger)
        self.declared = self._set_frequency()

    def _set_trigger(self, name: str) -> None:
        frequency = self.device.trigger(name) / "sampling_frequency"
        if frequency.exists():
            try:
                frequency.write_text(f"{_decimal(self._rate)}\n")
            except OSError as error:
                raise self.device.failure(error, f"set trigger {name} to {_decimal(self._rate)} Hz") from error
        self.device.write("trigger/current_trigger", name)

    def _set_frequency(self) -> Fraction | None:
        """Ask for the stream's rate, or the next higher that the device has; what it says that it does."""
        if am335x.is_am335x(self.device):
            return am335x.frame_rate(self.device, self.channels)
        attribute = self.device.frequency_attribute()
        if attribute is None:
            return self._rate if self._options.trigger is not None else None
        offered = [rate for rate in self.device.frequencies() if rate >= self._rate]
        self.device.write(attribute, _decimal(min(offered, default=self._rate)))
        said = self.device.read(attribute)
        return Fraction(said) if said else None

    def _set_lengths(self, block_frames: int) -> None:
        rate = max(self._rate, self.declared or self._rate)
        frames = max(4, min(int(rate * Fraction(self._options.buffer_s)), LARGEST_BUFFER // self._size))
        self.device.write("buffer/length", _power_of_two(frames))
        # kfifo rounds the length up to a power of two (__kfifo_alloc()).
        self.capacity = _power_of_two(int(self.device.read("buffer/length") or frames))
        in_time = int(rate * Fraction(READ_PATIENCE_S) / 2)
        self.want = max(1, min(int(block_frames * rate / self._rate), in_time, self.capacity // 2))
        """Scans that are worth a read."""
        if self.device.has("buffer/watermark"):
            self.device.write("buffer/watermark", self.want)
        self._bytes = np.empty((self.capacity + 1) * self._size, np.uint8)
        self._carried = 0


def _decimal(rate: Fraction) -> str:
    """As sysfs takes it: whole if it is, else with six places."""
    return str(rate.numerator) if rate.denominator == 1 else f"{float(rate):.6f}"


def _power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()
