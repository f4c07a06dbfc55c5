"""What can be set about a BeagleBone, its streams and their channels."""

from __future__ import annotations

from typing import Literal

from boards.iio.options import CaptureOptions
from boards.options import Options

Uart = Literal["UART1", "UART2", "UART4", "UART5", "PB-UART0", "PB-UART1", "PB-UART2", "PB-UART4"]
"""UART3 has no input on a header; the PB ones are the PocketBeagle's."""


class BeagleBoneOptions(Options):
    """The board's options."""

    uarts: tuple[Uart, ...] = ()
    """UARTs whose pins are switched to them when the board is made, for serial streams."""
    led: str | None = None
    """The status LED: USR0 to USR3, or the header pin that one is on."""


class DigitalOptions(Options):
    """A channel's options, on a digital pin."""

    kind: Literal["gpio"] = "gpio"
    pull: Literal["up", "down", "off"] = "off"


class AnalogOptions(Options):
    """A channel's options, on an analog pin: none but what it is."""

    kind: Literal["adc"] = "adc"


__all__ = ["AnalogOptions", "BeagleBoneOptions", "CaptureOptions", "DigitalOptions", "Uart"]
