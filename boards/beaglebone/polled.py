"""Values read one by one through Adafruit_BBIO."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from boards.base import Channel, PolledSource, SourceRequest
from boards.beaglebone import library
from boards.errors import FrameFailed, SourceLost


class BbioSource(PolledSource):
    """Analog and digital pins, each read when its frame is due: raw counts 0 to 4095, and 0 or 1."""

    def __init__(
        self,
        request: SourceRequest,
        analog: Mapping[str, str],
        digital: Mapping[str, str],
        why_not: Callable[[], str | None],
    ) -> None:
        """`analog` and `digital` have each input's header pin; `why_not` says why the ADC cannot be read."""
        super().__init__(request)
        self._analog = analog
        self._digital = digital
        self._why_not = why_not

    def open(self) -> None:
        if self._analog:
            missing = self._why_not()
            if missing:
                raise SourceLost(missing)
            self._read_analog = library.adc().read_raw
        if self._digital:
            self._read_digital = library.module("GPIO").input
        super().open()

    def read_raw(self, channel: Channel) -> int:
        pin = self._analog.get(channel.input)
        if pin is None:
            return int(self._read_digital(self._digital[channel.input]))
        try:
            return int(self._read_analog(pin))
        except OSError as error:
            reason = self._why_not()
            if reason is None:
                raise FrameFailed(f"{channel.input}: Adafruit_BBIO cannot read it: {error}") from error
            raise SourceLost(f"{channel.input}: {reason}") from error
