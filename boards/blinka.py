"""Any CircuitPython driver on Adafruit Blinka: its properties become channels by configuration alone.

    driver = "adafruit_ads1x15.ads1115.ADS1115"      # module path and class
    bus = "i2c"
    address = 0x48
    arguments = { gain = 1 }
    settings = { data_rate = 860 }
    [[stream.channel]]
    name = "battery"
    input = "voltage"
    options = { wrap = "adafruit_ads1x15.analog_in.AnalogIn", arguments = [0] }

Blinka and the drivers are imported when a source is made, never before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from inspect import getattr_static, isdatadescriptor
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from serial import serial_for_url

from boards.base import Board, Channel, Input, PolledSource, SourceRequest
from boards.errors import BoardUnavailable, FrameFailed, SourceLost, UnknownInput
from boards.options import Options, did_you_mean, parse_options

FAILURES_UNTIL_LOST = 5
"""So many frames failing one after another mean that the sensor is gone; fewer are declared one by one."""

INSTALL_BLINKA = "Adafruit-Blinka is not installed: pip install 'headwater[blinka]'"

_PATH = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"


class BlinkaOptions(Options):
    """Which driver, on which bus."""

    driver: str = Field(pattern=_PATH)
    """Module path and class."""
    bus: Literal["i2c", "spi", "uart", "none"] = "i2c"
    """What the driver's first argument is."""
    pins: Mapping[str, str] = Field(default_factory=dict)
    """Blinka's names of the bus's pins: scl, sda; or clock, mosi, miso, cs. Defaults are the board's own."""
    frequency: int = Field(default=100_000, gt=0)
    """i2c: Hz. Linux ignores it: there the device tree sets the bus's clock."""
    port: str = ""
    """uart: a path or URL of pyserial, which is what CircuitPython drivers take on Linux."""
    baud: int = Field(default=9600, gt=0)
    timeout: float = Field(default=1.0, gt=0)
    """uart: seconds after which a reading without an answer has failed."""
    address: int | None = Field(default=None, ge=0, le=0x7F)
    """i2c: where it isn't the driver's default."""
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    """Further arguments of the class by name. A text `board.D4` is that pin."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Properties to set on the driver's object once it is there."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.bus == "uart" and not self.port:
            raise ValueError("bus = 'uart' needs 'port'")
        return self


class ChannelOptions(Options):
    """What a channel may say beside its input."""

    wrap: str | None = Field(default=None, pattern=_PATH)
    """A class that is made of the driver's object, whose property is then sampled, as `…analog_in.AnalogIn`."""
    arguments: tuple[Any, ...] = ()
    """The class's arguments after the driver's object."""


class BlinkaBoard(Board):
    """CircuitPython drivers. Options may stand on the board, on the stream's request, or on both."""

    name = "blinka"
    summary = "Any sensor with a CircuitPython driver, on any board that Adafruit Blinka supports"

    @classmethod
    def availability(cls) -> str | None:
        """Whether Blinka is installed and knows this machine."""
        if find_spec("adafruit_blinka") is None:
            return INSTALL_BLINKA
        detector = import_module("adafruit_platformdetect").Detector()
        if detector.board.id in (None, "GENERIC_LINUX_PC"):
            found = detector.board.id or "unknown"
            return f"Blinka knows no pins of this machine ({found}); BLINKA_FORCEBOARD says otherwise"
        return None

    def inputs(self) -> Sequence[Input]:
        """The driver's properties; none while the options name no driver."""
        if "driver" not in self.options:
            return ()
        options = parse_options(BlinkaOptions, self.options, "blinka")
        return [Input(name) for name in _properties(load_class(options.driver))]

    def check(self, request: SourceRequest) -> None:
        """Refuse wrong options, drivers that can't be imported, and properties that they don't have."""
        self.open_source(request)

    def open_source(self, request: SourceRequest) -> BlinkaSource:
        """A source that makes the driver's object on opening."""
        options = {**self.options, **request.options}
        return BlinkaSource(request, parse_options(BlinkaOptions, options, "blinka"))


class BlinkaSource(PolledSource):
    """Properties of one driver object, read anew for each frame; one that several channels use is read once.

    A reading that raises is tried once more at once. If it fails again the frame is declared `undecodable`;
    after FAILURES_UNTIL_LOST of these the source is lost, and `open()` makes the driver's object anew.
    """

    dtype = np.float64

    def __init__(self, request: SourceRequest, options: BlinkaOptions) -> None:
        super().__init__(request)
        self.options = options
        self._class = load_class(options.driver)
        self._readings = [_Reading(channel, self._class) for channel in request.channels]
        self._close_bus: Callable[[], None] = lambda: None
        self._failed = 0

    def open(self) -> None:
        self.close()
        try:
            bus, self._close_bus = open_bus(self.options)
            driver = self._make_driver(bus)
        except (BoardUnavailable, UnknownInput):
            self.close()
            raise
        except Exception as error:  # drivers raise whatever they like
            self.close()
            raise SourceLost(f"{self.options.driver} cannot be opened: {error}") from error
        wrapped: dict[Any, Any] = {}
        for reading in self._readings:
            reading.bind(driver, wrapped)
        self._failed = 0
        super().open()

    def _make_driver(self, bus: Sequence[Any]) -> Any:
        arguments = {name: _pin_or_value(value) for name, value in self.options.arguments.items()}
        if self.options.address is not None:
            arguments["address"] = self.options.address
        driver = self._class(*bus, **arguments)
        for name, value in self.options.settings.items():
            setattr(driver, name, value)
        return driver

    def read_raw(self, channel: Channel) -> float:
        """The channel's value now."""
        place = self.request.channels.index(channel)
        return self._readings[place].value({})

    def read_frame(self) -> list[float]:
        """All channels' values, each property read once."""
        try:
            try:
                row = self._read_all()
            except Exception:  # noqa: BLE001 - a hiccup of the bus is over now, and what is not is raised below
                row = self._read_all()
        except Exception as error:
            self._failed += 1
            if self._failed >= FAILURES_UNTIL_LOST:
                raise SourceLost(
                    f"{self.options.driver} failed {self._failed} times, the last: {error}"
                ) from error
            raise FrameFailed(f"{self.options.driver}: {error}") from error
        self._failed = 0
        return row

    def _read_all(self) -> list[float]:
        seen: dict[Any, Any] = {}
        return [reading.value(seen) for reading in self._readings]

    def close(self) -> None:
        with suppress(Exception):  # it may be gone already
            self._close_bus()
        self._close_bus = lambda: None


class _Reading:
    """How a channel's value is got from the driver's object.

    A path such as `acceleration.0`: a property or a method without arguments, then items, keys or attributes of it.
    """

    def __init__(self, channel: Channel, driver: type[Any]) -> None:
        where = f"channel {channel.name!r}"
        options = parse_options(ChannelOptions, channel.options, where)
        self._first, *self._rest = (channel.input or channel.name).split(".")
        self._wrap = load_class(options.wrap) if options.wrap else None
        self._arguments = options.arguments
        self._target: Any = None
        there = _properties(self._wrap or driver)
        if self._first not in dir(self._wrap or driver):
            of = options.wrap or f"{driver.__module__}.{driver.__qualname__}"
            hint = did_you_mean(self._first, there)
            raise UnknownInput(f"{where}: {of} has no {self._first!r}; it has {', '.join(there)}{hint}")

    def bind(self, driver: Any, wrapped: dict[Any, Any]) -> None:
        """Take a new driver object; equal wrappings are made once."""
        key = (self._wrap, repr(self._arguments))
        if key not in wrapped:
            wrapped[key] = self._wrap(driver, *map(_pin_or_value, self._arguments)) if self._wrap else driver
        self._target = wrapped[key]

    def value(self, seen: dict[Any, Any]) -> float:
        """The value now; `seen` holds what this frame has read already."""
        key = (id(self._target), self._first)
        if key not in seen:
            found = getattr(self._target, self._first)
            seen[key] = found() if callable(found) else found
        here = seen[key]
        for step in self._rest:
            here = _step(here, step)
        number = float(here)
        if not math.isfinite(number):
            raise ValueError(f"{'.'.join([self._first, *self._rest])} is {number}")
        return number


def _step(here: Any, step: str) -> Any:
    if isinstance(here, Mapping):
        return here[step]
    return here[int(step)] if step.isdecimal() else getattr(here, step)


def load_class(path: str) -> type[Any]:
    """The class of a module path. Raises BoardUnavailable with what to install."""
    module, _, name = path.rpartition(".")
    try:
        loaded: type[Any] = getattr(import_module(module), name)
    except AttributeError:
        raise BoardUnavailable(f"module {module!r} has no class {name!r}") from None
    except Exception as error:  # Blinka raises NotImplementedError and more on machines it does not know
        package = module.partition(".")[0]
        advice = (
            INSTALL_BLINKA if find_spec("adafruit_blinka") is None else f"pip install {_distribution(package)}"
        )
        what_to_do = advice if find_spec(package) is None else "see the error"
        raise BoardUnavailable(f"{path} cannot be imported: {error}; {what_to_do}") from error
    return loaded


def _distribution(package: str) -> str:
    """`adafruit_ads1x15` as it is called on PyPI."""
    return package.replace("adafruit_", "adafruit-circuitpython-").replace("_", "-")


def open_bus(options: BlinkaOptions) -> tuple[tuple[Any, ...], Callable[[], None]]:
    """The driver's first arguments, and what gives them back."""
    if options.bus == "none":
        return (), lambda: None
    if options.bus == "uart":
        uart = serial_for_url(options.port, baudrate=options.baud, timeout=options.timeout)
        return (uart,), uart.close
    busio = _blinka("busio")
    pins = {name.lower(): _pin(pin) for name, pin in options.pins.items()}
    if options.bus == "i2c":
        i2c = busio.I2C(pins.get("scl") or _pin("SCL"), pins.get("sda") or _pin("SDA"), options.frequency)
        return (i2c,), i2c.deinit
    wires = [pins.get("clock") or _pin("SCK"), pins.get("mosi") or _pin("MOSI"), pins.get("miso") or _pin("MISO")]
    spi = busio.SPI(*wires)
    if "cs" not in pins:
        return (spi,), spi.deinit
    select = _blinka("digitalio").DigitalInOut(pins["cs"])

    def give_back() -> None:
        select.deinit()
        spi.deinit()

    return (spi, select), give_back


def _blinka(module: str) -> Any:
    try:
        return import_module(module)
    except Exception as error:
        advice = INSTALL_BLINKA if find_spec("adafruit_blinka") is None else "see `headwater boards`"
        raise BoardUnavailable(f"Blinka's {module!r} cannot be imported: {error}; {advice}") from error


def _pin(name: str) -> Any:
    """The pin that Blinka's board module calls so. Raises UnknownInput."""
    board = _blinka("board")
    plain = name.removeprefix("board.")
    pin = getattr(board, plain, None)
    if pin is None:
        known = [known for known in dir(board) if known[0] != "_" and known.upper() == known]
        raise UnknownInput(f"this board has no pin {plain!r}; it has {', '.join(known)}")
    return pin


def _pin_or_value(value: Any) -> Any:
    return _pin(value) if isinstance(value, str) and value.startswith("board.") else value


def _properties(driver: type[Any]) -> list[str]:
    """What can be read of the class's objects without a call."""
    public = (name for name in dir(driver) if not name.startswith("_"))
    return [name for name in public if isdatadescriptor(getattr_static(driver, name))]
