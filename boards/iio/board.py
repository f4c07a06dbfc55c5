"""The board: any device of Linux's industrial I/O subsystem."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from boards.base import Board, Input, SampleSource, SourceRequest
from boards.errors import BoardUnavailable, LimitExceeded
from boards.iio import am335x
from boards.iio.capture import BufferedSource
from boards.iio.options import CaptureOptions, IioOptions
from boards.iio.polled import OneShotSource
from boards.iio.scan import TIMESTAMP, value_names
from boards.iio.sysfs import IioDevice, choose_device, find_devices
from boards.options import parse_options

log = logging.getLogger(__name__)

POLLED_READS_PER_S = 500
"""Values a second that one-shot reads hold on a small board: one takes about a millisecond there."""

UNITS: dict[str, tuple[str, float]] = {
    "voltage": ("mV", 1),
    "altvoltage": ("mV", 1),
    "current": ("mA", 1),
    "power": ("mW", 1),
    "resistance": ("Ohm", 1),
    "capacitance": ("nF", 1),
    "accel": ("m/s2", 1),
    "gravity": ("m/s2", 1),
    "velocity": ("m/s", 1),
    "anglvel": ("rad/s", 1),
    "angl": ("rad", 1),
    "magn": ("G", 1),
    "temp": ("°C", 1e-3),
    "pressure": ("kPa", 1),
    "humidityrelative": ("%", 1e-3),
    "illuminance": ("lx", 1),
    "distance": ("m", 1),
}
"""Our unit of (raw + offset) * scale, and how many of it the kernel's is: millidegrees, thousandths of a per cent.

Documentation/ABI/testing/sysfs-bus-iio says which the kernel's are.
"""


class IioBoard(Board):
    """A device of `/sys/bus/iio`: inputs are its channels, named as the kernel names them without `in_`."""

    name: ClassVar[str] = "iio"
    summary: ClassVar[str] = "any Linux IIO converter or sensor, buffered through the kernel"
    sysfs: ClassVar[Path] = Path("/sys")
    dev: ClassVar[Path] = Path("/dev")

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        chosen = parse_options(IioOptions, self.options, "board iio")
        sysfs = chosen.sysfs or self.sysfs
        self.device = choose_device(find_devices(sysfs, chosen.dev or self.dev), chosen.device, sysfs)
        self._inputs = _inputs(self.device)

    @classmethod
    def availability(cls) -> str | None:
        if find_devices(cls.sysfs, cls.dev):
            return None
        where = cls.sysfs / "bus/iio/devices"
        return f"no IIO device in {where}: load the converter's driver, or enable its device-tree node"

    def inputs(self) -> Sequence[Input]:
        return self._inputs

    def maximum_rate(self, channels: int) -> Fraction | None:
        if not self.device.buffered:
            return Fraction(POLLED_READS_PER_S, max(1, channels))
        if am335x.is_am335x(self.device):
            return am335x.highest_rate(self.device, channels)
        return max(self.device.frequencies(), default=None)

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "device": self.device.name,
            "id": self.device.id,
            "capture": "buffered" if self.device.buffered else "polled",
        }

    def check(self, request: SourceRequest) -> None:
        super().check(request)
        options = parse_options(CaptureOptions, request.options, "stream on board iio")
        if self.buffers(request, options):
            self._check_buffered(request)
        else:
            self._check_polled(request)

    def open_source(self, request: SourceRequest) -> SampleSource:
        options = parse_options(CaptureOptions, request.options, "stream on board iio")
        names = {channel.input: self.find_input(channel.input).name for channel in request.channels}
        if not self.buffers(request, options):
            return OneShotSource(self.device, request, {given: f"in_{name}_raw" for given, name in names.items()})
        return BufferedSource(
            self.device, request, [names[channel.input] for channel in request.channels], options
        )

    def buffers(self, request: SourceRequest, options: CaptureOptions) -> bool:
        """Whether the request is served from the kernel's buffer."""
        if options.capture != "auto":
            return options.capture == "buffered"
        readable = set(self.device.raw_channels())
        if any(self.find_input(channel.input).name not in readable for channel in request.channels):
            return True
        rate = request.rate or Fraction(0)
        too_fast = rate * len(request.channels) > POLLED_READS_PER_S
        return self.device.buffered and (options.trigger is not None or too_fast)

    def _check_buffered(self, request: SourceRequest) -> None:
        where = f"{self.device.id} ({self.device.name})"
        if not self.device.buffered:
            raise LimitExceeded(
                f"{where} has no buffer: {POLLED_READS_PER_S} values a second can be polled; "
                f"{float((request.rate or 0) * len(request.channels)):g} were asked for"
            )
        captured = {name for element in self.device.elements() for name in value_names(element)}
        for channel in request.channels:
            if self.find_input(channel.input).name not in captured:
                raise LimitExceeded(f"{where} cannot capture {channel.input!r}; it captures {_list(captured)}")

    def _check_polled(self, request: SourceRequest) -> None:
        readable = set(self.device.raw_channels())
        for channel in request.channels:
            if self.find_input(channel.input).name not in readable:
                raise LimitExceeded(
                    f"{self.device.id} ({self.device.name}) cannot be asked for {channel.input!r} alone; "
                    f"it can for {_list(readable)}: use capture = 'buffered'"
                )
        wanted = (request.rate or Fraction(0)) * len(request.channels)
        if wanted > POLLED_READS_PER_S:
            raise LimitExceeded(
                f"{POLLED_READS_PER_S} values a second can be polled; {float(wanted):g} were asked for: "
                "use capture = 'buffered'"
            )


def _inputs(device: IioDevice) -> tuple[Input, ...]:
    elements = [element for element in device.elements() if element.name != TIMESTAMP]
    bits = {name: element.type.bits for element in elements for name in value_names(element)}
    names = list(bits) + [name for name in device.raw_channels() if name not in bits]
    if not names:
        raise BoardUnavailable(f"{device.id} ({device.name}) has no input channel")
    return tuple(_input(device, name, bits.get(name)) for name in names)


def _input(device: IioDevice, name: str, bits: int | None) -> Input:
    scale = device.number(name, "scale")
    offset = device.number(name, "offset") or 0.0
    kind = name.split("[")[0].rstrip("0123456789").split("_")[0].split("-")[0].rstrip("0123456789")
    label = device.read(f"in_{name.split('[')[0]}_label")
    unit, factor = UNITS.get(kind, ("", 1.0)) if scale is not None else ("count", 1.0)
    per_count = (1.0 if scale is None else scale) * factor
    return Input(
        name=name,
        description=f"{device.name} {label or name}",
        aliases=tuple(alias for alias in (f"in_{name}", label) if alias),
        unit=unit,
        scale=per_count,
        offset=offset * per_count,
        bits=bits,
    )


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
