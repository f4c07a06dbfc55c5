"""One value at a time, from `in_*_raw`: for slow streams, and for devices that have no buffer."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

import numpy as np

from boards.base import Channel, PolledSource, SourceRequest
from boards.errors import BoardError, FrameFailed, SourceLost
from boards.iio.sysfs import IioDevice

TRANSIENT = frozenset({errno.EBUSY, errno.EAGAIN})
"""What ti_am335x_adc answers when a conversion did not come in time, and as long as its buffer is in use."""

ATTEMPTS = 3


class OneShotSource(PolledSource):
    """Values read from sysfs, each when it is due."""

    dtype = np.int32

    def __init__(self, device: IioDevice, request: SourceRequest, attributes: Mapping[str, str]) -> None:
        """`attributes` has each input's attribute, such as `in_voltage0_raw`."""
        super().__init__(request)
        self._device = device
        self._attributes = attributes
        self._files: dict[str, int] = {}

    def open(self) -> None:
        self.close()
        for name, attribute in self._attributes.items():
            try:
                self._files[name] = os.open(self._device.path / attribute, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                self.close()
                raise self._device.failure(error, f"open {attribute}") from error
        super().open()

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def read_raw(self, channel: Channel) -> int:
        attribute = self._attributes[channel.input]
        failure: OSError | None = None
        for _ in range(ATTEMPTS):
            try:
                return int(os.pread(self._files[channel.input], 64, 0))
            except OSError as error:
                failure = error
                if error.errno not in TRANSIENT:
                    break
            except ValueError as error:
                raise SourceLost(
                    f"{self._device.id} ({self._device.name}): {attribute} is not a number"
                ) from error
        assert failure is not None
        raise self._verdict(failure, attribute) from failure

    def _verdict(self, failure: OSError, attribute: str) -> BoardError:
        """SourceLost if it will go on like this, FrameFailed if the next reading may be better."""
        error = self._device.failure(failure, f"read {attribute}")
        captured = self._device.read("buffer/enable") == "1"
        gone = isinstance(error, SourceLost) and failure.errno not in TRANSIENT
        return error if gone or captured else FrameFailed(str(error))
