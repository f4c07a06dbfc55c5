"""Pins as digital inputs, as a status LED, and as those of a UART."""

from __future__ import annotations

from boards.beaglebone.library import module
from boards.beaglebone.options import DigitalOptions, Uart
from boards.errors import BoardUnavailable


def set_up_input(pin: str, options: DigitalOptions) -> None:
    """Make a header pin a digital input. Raises BoardUnavailable, saying why it may not be one."""
    library = module("GPIO")
    pulls = {"up": library.PUD_UP, "down": library.PUD_DOWN, "off": library.PUD_OFF}
    try:
        library.setup(pin, library.IN, pulls[options.pull])
    except (ValueError, RuntimeError, OSError) as error:
        raise _refusal(pin, error) from error


class StatusLed:
    """One LED, off until it is set: USR0 to USR3, or one on a header pin."""

    def __init__(self, pin: str) -> None:
        self._pin = pin
        self._library = module("GPIO")
        try:
            self._library.setup(pin, self._library.OUT)
        except (ValueError, RuntimeError, OSError) as error:
            raise _refusal(pin, error) from error
        self.set(False)

    def set(self, on: bool) -> None:
        """Switch it."""
        self._library.output(self._pin, self._library.HIGH if on else self._library.LOW)

    def close(self) -> None:
        """Switch it off."""
        self.set(False)


def set_up_uart(name: Uart) -> None:
    """Switch a UART's pins to it. Raises BoardUnavailable, saying what the pins need."""
    try:
        module("UART").setup(name)
    except (ValueError, RuntimeError, OSError) as error:
        overlay = f"BB-{name.removeprefix('PB-')}-00A0.dtbo"
        raise BoardUnavailable(
            f"board 'beaglebone': the pins of {name} cannot be switched ({error}). In /boot/uEnv.txt, either set "
            f"`enable_uboot_cape_universal=1`, or load `uboot_overlay_addr5=/lib/firmware/{overlay}` "
            f"and leave {name} out of the option `uarts`; then reboot"
        ) from error


def _refusal(pin: str, error: Exception) -> BoardUnavailable:
    return BoardUnavailable(
        f"board 'beaglebone': {pin} cannot be used as GPIO ({error}). Is it in use (by HDMI, eMMC or a cape), is "
        "the user in the group gpio, and is `enable_uboot_cape_universal=1` set in /boot/uEnv.txt? Newer kernels "
        "number the GPIOs otherwise than Adafruit_BBIO does: then /sys/class/gpio lacks the number that it wants"
    )
