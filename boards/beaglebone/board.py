"""The BeagleBone: ADC and GPIO through Adafruit_BBIO, and through the kernel's buffer what that cannot hold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from boards.base import Board, Input, SampleSource, SourceRequest
from boards.beaglebone import library
from boards.beaglebone.advice import UENV_PATH, adc_advice
from boards.beaglebone.gpio import StatusLed, set_up_input, set_up_uart
from boards.beaglebone.options import AnalogOptions, BeagleBoneOptions, CaptureOptions, DigitalOptions
from boards.beaglebone.pins import Headers
from boards.beaglebone.polled import BbioSource
from boards.errors import BoardUnavailable, LimitExceeded, UnknownInput
from boards.iio import am335x
from boards.iio.capture import BufferedSource
from boards.iio.sysfs import IioDevice, find_devices
from boards.options import parse_options

log = logging.getLogger(__name__)

POLLED_READS_PER_S = 500
"""Values a second that Adafruit_BBIO holds on the board: each takes 1 to 1.4 ms there."""

LIBRARY_DEVICE = "iio:device0"
"""The only one that Adafruit_BBIO reads."""


class BeagleBoneBoard(Board):
    """BeagleBone Black, Green, White and PocketBeagle.

    Streams of up to 500 values a second are polled through Adafruit_BBIO. Faster ones are captured through the
    kernel's IIO buffer, which reaches what the ADC can do; they have analog inputs only. Frames are raw counts.
    """

    name: ClassVar[str] = "beaglebone"
    summary: ClassVar[str] = "BeagleBone: 7 analog inputs (12 bits, 0 to 1.8 V), 67 digital ones"
    models: ClassVar[tuple[str, ...]] = ("BeagleBone", "PocketBeagle")
    sysfs: ClassVar[Path] = Path("/sys")
    dev: ClassVar[Path] = Path("/dev")
    model_path: ClassVar[Path] = Path("/proc/device-tree/model")
    uenv_path: ClassVar[Path] = Path(UENV_PATH)

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        chosen = parse_options(BeagleBoneOptions, self.options, "board beaglebone")
        self.model = _model(self.model_path)
        self._headers = Headers("PocketBeagle" in (self.model or ""))
        self._inputs = self._headers.inputs()
        self._led_pin = chosen.led
        self._led: StatusLed | None = None
        self._through: dict[str, str] = {}
        for uart in chosen.uarts:
            set_up_uart(uart)

    @classmethod
    def availability(cls) -> str | None:
        model = _model(cls.model_path)
        if model is not None and not any(part in model for part in cls.models):
            return f"this is no BeagleBone: the device tree's model is {model!r}"
        if not library.installed():
            return library.INSTALL
        return cls.why_no_adc()

    @classmethod
    def why_no_adc(cls) -> str | None:
        """None if the ADC is there, else what to do."""
        if cls._adc_device() is not None:
            return None
        text = cls.uenv_path.read_text(errors="replace") if cls.uenv_path.exists() else None
        folder = cls.sysfs / "bus/iio/devices"
        return f"there is no ADC in {folder}: its overlay is not loaded. {_capital(adc_advice(text))}"

    @classmethod
    def why_not_polled(cls) -> str | None:
        """None if Adafruit_BBIO can read the ADC now, else why not and what to do."""
        device = cls._adc_device()
        return cls.why_no_adc() if device is None else _why_not_polled(device)

    def inputs(self) -> Sequence[Input]:
        return self._inputs

    def find_input(self, name: str) -> Input:
        try:
            return super().find_input(name)
        except UnknownInput as error:
            analog = ", ".join(f"{pin} (AIN{line})" for pin, line in self._headers.analog.items())
            if name.startswith("AIN"):
                raise UnknownInput(f"board {self.name!r}: {name} is on no header; analog are {analog}") from error
            raise UnknownInput(
                f"board {self.name!r} has no input {name!r}: analog are {analog}; digital are most other pins, "
                f"{', '.join(list(self._headers.digital)[:3])} … {list(self._headers.digital)[-1]}"
            ) from error

    def maximum_rate(self, channels: int) -> Fraction | None:
        polled = Fraction(POLLED_READS_PER_S, max(1, channels))
        device = self._adc_device()
        if device is None or not device.buffered:
            return polled
        return max(polled, am335x.highest_rate(device, channels))

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": self.model,
            "library": f"Adafruit-BBIO {_library_version()}",
            "polled_values_per_s": POLLED_READS_PER_S,
            "streams": dict(self._through),
        }

    def check(self, request: SourceRequest) -> None:
        options = parse_options(CaptureOptions, request.options, "stream on board beaglebone")
        analog, digital = self._pins(request)
        super().check(request)
        if analog:
            missing = self.why_no_adc() if self._buffers(request, options) else self.why_not_polled()
            if missing:
                raise BoardUnavailable(f"board {self.name!r}: {missing}")
        if self._buffers(request, options):
            if digital:
                raise LimitExceeded(
                    f"board {self.name!r} polls digital inputs ({', '.join(digital)}), {POLLED_READS_PER_S} "
                    f"values a second; {float(_values(request)):g} were asked for: give them a slower stream"
                )
            self._check_buffered()
        elif _values(request) > POLLED_READS_PER_S:
            raise LimitExceeded(
                f"board {self.name!r} polls {POLLED_READS_PER_S} values a second; {float(_values(request)):g} "
                "were asked for: leave out capture = 'polled'"
            )

    def open_source(self, request: SourceRequest) -> SampleSource:
        options = parse_options(CaptureOptions, request.options, "stream on board beaglebone")
        analog, digital = self._pins(request)
        named = ", ".join(channel.input for channel in request.channels)
        device = self._adc_device()
        if device is not None and self._buffers(request, options):
            self._through[named] = f"captured through the IIO buffer of {device.id} ({device.name})"
            log.info("%s at %g Hz is more than polling holds: %s", named, request.rate, self._through[named])
            columns = [f"voltage{self._headers.analog[analog[channel.input]]}" for channel in request.channels]
            return BufferedSource(device, request, columns, options)
        self._through[named] = "polled by Adafruit_BBIO"
        for channel in request.channels:
            if channel.input in digital:
                where = f"channel {channel.name!r} on board beaglebone"
                set_up_input(digital[channel.input], parse_options(DigitalOptions, channel.options, where))
        return BbioSource(request, analog, digital, self.why_not_polled)

    def status_led(self) -> StatusLed | None:
        """The LED that the option `led` names, off; None if it names none."""
        if self._led is None and self._led_pin is not None:
            self._led = StatusLed(self._led_pin)
        return self._led

    def close(self) -> None:
        if self._led is not None:
            self._led.close()
            self._led = None

    @classmethod
    def _adc_device(cls) -> IioDevice | None:
        return next((device for device in find_devices(cls.sysfs, cls.dev) if am335x.is_am335x(device)), None)

    def _pins(self, request: SourceRequest) -> tuple[dict[str, str], dict[str, str]]:
        """The header pins of the request's inputs: (analog, digital)."""
        analog: dict[str, str] = {}
        digital: dict[str, str] = {}
        for channel in request.channels:
            pin = self.find_input(channel.input).name
            is_analog = pin in self._headers.analog
            (analog if is_analog else digital)[channel.input] = pin
            where = f"channel {channel.name!r} on board beaglebone"
            parse_options(AnalogOptions if is_analog else DigitalOptions, channel.options, where)
        return analog, digital

    def _buffers(self, request: SourceRequest, options: CaptureOptions) -> bool:
        """Whether the request is served from the kernel's buffer."""
        if options.capture != "auto":
            return options.capture == "buffered"
        return _values(request) > POLLED_READS_PER_S

    def _check_buffered(self) -> None:
        device = self._adc_device()
        if device is not None and not device.buffered:
            raise LimitExceeded(
                f"board {self.name!r} polls {POLLED_READS_PER_S} values a second, and this kernel offers no "
                f"buffer for the ADC (no buffer/enable in {device.path})"
            )


def _values(request: SourceRequest) -> Fraction:
    """Values a second."""
    return (request.rate or Fraction(0)) * len(request.channels)


def _why_not_polled(device: IioDevice) -> str | None:
    if device.id != LIBRARY_DEVICE:
        return (
            f"the ADC is {device.id}, and Adafruit_BBIO reads only {LIBRARY_DEVICE}, which here is something "
            f"else; use board = 'iio' with device = {device.name!r}"
        )
    if device.read("buffer/enable") == "1":
        return (
            f"the ADC ({device.id}) is being captured through its buffer and cannot be read beside that; put all "
            f"its channels into one stream. If nothing captures: echo 0 > {device.path}/buffer/enable"
        )
    return None


def _model(path: Path) -> str | None:
    if not path.exists():
        return None
    return path.read_bytes().rstrip(b"\0\n").decode(errors="replace")


def _library_version() -> str:
    try:
        return version("Adafruit-BBIO")
    except PackageNotFoundError:
        return "(not installed)"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
