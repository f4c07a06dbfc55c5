"""Blinka's buses and pins, and the drivers on them: everything of the blinka board that imports them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from inspect import getattr_static, isdatadescriptor
from typing import Any

from serial import serial_for_url

from boards.blinka_options import BlinkaOptions
from boards.errors import BoardUnavailable, UnknownInput

INSTALL_BLINKA = "Adafruit-Blinka is not installed: pip install 'headwater[blinka]'"


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


BUS_PINS = {"i2c": {"scl": "SCL", "sda": "SDA"}, "spi": {"clock": "SCK", "mosi": "MOSI", "miso": "MISO"}}
"""What Blinka calls the pins of the board's own bus."""


def bus_pins(options: BlinkaOptions) -> dict[str, Any]:
    """Blinka's pins that the bus needs, by their use. Raises UnknownInput, or BoardUnavailable without Blinka."""
    needed = BUS_PINS.get(options.bus, {})
    if extra := options.pins.keys() - needed.keys() - ({"cs"} if options.bus == "spi" else set()):
        raise UnknownInput(
            f"bus {options.bus!r} has no pin for {', '.join(extra)}; it has {', '.join(needed) or 'none'}"
        )
    return {use: _pin(name) for use, name in (needed | dict(options.pins)).items()}


def open_bus(options: BlinkaOptions, pins: Mapping[str, Any]) -> tuple[tuple[Any, ...], Callable[[], None]]:
    """The driver's first arguments, and what gives them back."""
    if options.bus == "none":
        return (), lambda: None
    if options.bus == "uart":
        uart = serial_for_url(options.port, baudrate=options.baud, timeout=options.timeout)
        return (uart,), uart.close
    busio = _blinka("busio")
    if options.bus == "i2c":
        i2c = busio.I2C(pins["scl"], pins["sda"], options.frequency)
        return (i2c,), i2c.deinit
    spi = busio.SPI(pins["clock"], pins["mosi"], pins["miso"])
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


def pin_or_value(value: Any) -> Any:
    return _pin(value) if isinstance(value, str) and value.startswith("board.") else value


def properties(driver: type[Any]) -> list[str]:
    """What can be read of the class's objects without a call."""
    public = (name for name in dir(driver) if not name.startswith("_"))
    return [name for name in public if isdatadescriptor(getattr_static(driver, name))]
