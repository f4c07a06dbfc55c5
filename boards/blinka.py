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
from typing import Any

import numpy as np

from boards.base import Board, Channel, Input, PolledSource, SourceRequest
from boards.blinka_bus import INSTALL_BLINKA, bus_pins, load_class, open_bus, pin_or_value, properties
from boards.blinka_options import BlinkaOptions, ChannelOptions
from boards.errors import FrameFailed, SourceLost, UnknownInput
from boards.options import did_you_mean, parse_options

FAILURES_UNTIL_LOST = 5
"""So many frames failing one after another mean that the sensor is gone; fewer are declared one by one."""


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
        return [Input(name, unit="") for name in properties(load_class(options.driver))]

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
        self._arguments = {name: pin_or_value(value) for name, value in options.arguments.items()}
        self._pins = bus_pins(options)
        self._readings = [_Reading(channel, self._class) for channel in request.channels]
        self._close_bus: Callable[[], None] = lambda: None
        self._failed = 0

    def open(self) -> None:
        self.close()
        try:
            bus, self._close_bus = open_bus(self.options, self._pins)
            driver = self._make_driver(bus)
        except Exception as error:  # drivers raise whatever they like
            self.close()
            raise SourceLost(f"{self.options.driver} cannot be opened: {error}") from error
        wrapped: dict[Any, Any] = {}
        for reading in self._readings:
            reading.bind(driver, wrapped)
        self._failed = 0
        super().open()

    def _make_driver(self, bus: Sequence[Any]) -> Any:
        address = {} if self.options.address is None else {"address": self.options.address}
        driver = self._class(*bus, **self._arguments, **address)
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

    A path such as `acceleration.0`: a property, or a method without arguments, then items, keys or attributes.
    """

    def __init__(self, channel: Channel, driver: type[Any]) -> None:
        where = f"channel {channel.name!r}"
        options = parse_options(ChannelOptions, channel.options, where)
        self._first, *self._rest = (channel.input or channel.name).split(".")
        self._wrap = load_class(options.wrap) if options.wrap else None
        self._arguments = [pin_or_value(value) for value in options.arguments]
        self._target: Any = None
        there = properties(self._wrap or driver)
        if self._first not in dir(self._wrap or driver):
            of = options.wrap or f"{driver.__module__}.{driver.__qualname__}"
            hint = did_you_mean(self._first, there)
            raise UnknownInput(f"{where}: {of} has no {self._first!r}; it has {', '.join(there)}{hint}")

    def bind(self, driver: Any, wrapped: dict[Any, Any]) -> None:
        """Take a new driver object; equal wrappings are made once."""
        key = (self._wrap, repr(self._arguments))
        if key not in wrapped:
            wrapped[key] = self._wrap(driver, *self._arguments) if self._wrap else driver
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
