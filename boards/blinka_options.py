"""The options of the blinka board and of its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from boards.options import Options

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
