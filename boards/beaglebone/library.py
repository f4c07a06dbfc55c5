"""Adafruit_BBIO, imported only when it is needed, and its failures said in words that help."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from boards.errors import BoardUnavailable

PACKAGE = "Adafruit_BBIO"

INSTALL = (
    "the library Adafruit-BBIO is not installed: `sudo apt install build-essential python3-dev`, then "
    "`pip install 'headwater[beaglebone]'` (it is compiled on the board)"
)

RESTART = (
    "Adafruit_BBIO cannot be set up again in the same process (its ADC.setup() adds to a path that it had begun): "
    "put this right, then start Headwater again"
)

_adc_failure: str | None = None
"""Why ADC.setup() failed in this process; once it has, it must not be called again."""


def installed() -> bool:
    """Whether the library is there; it is not imported."""
    return find_spec(PACKAGE) is not None


def module(name: str) -> ModuleType:
    """`Adafruit_BBIO.<name>`. Raises BoardUnavailable, saying how to install it."""
    try:
        return import_module(f"{PACKAGE}.{name}")
    except ImportError as error:
        raise BoardUnavailable(f"board 'beaglebone': {INSTALL} ({error})") from error


def adc() -> ModuleType:
    """The library's ADC, set up: a second's work the first time. Raises BoardUnavailable if that fails.

    Look whether the ADC is there before: a set-up that failed cannot be repeated.
    """
    global _adc_failure
    library = module("ADC")
    if _adc_failure is None:
        try:
            library.setup()
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            _adc_failure = (
                f"board 'beaglebone': ADC.setup() of Adafruit_BBIO failed: {reason}. It wants U-Boot's overlays "
                "(/proc/device-tree/chosen/overlays, or uboot_capemgr_enabled=1 in /proc/cmdline) or the cape "
                "manager (/sys/devices/platform/bone_capemgr/slots); where there is neither, use board = 'iio', "
                f"which reads the same ADC. {RESTART}"
            )
    if _adc_failure is not None:
        raise BoardUnavailable(_adc_failure)
    return library
