"""A BeagleBone's own: the library, the lines of /boot/uEnv.txt that switch the ADC on, and the ADC."""

from __future__ import annotations

import re
from collections.abc import Iterator

from boards.beaglebone import library
from boards.beaglebone.advice import UENV_PATH, adc_advice
from boards.errors import BoardUnavailable
from boards.iio import am335x
from boards.iio.sysfs import IioDevice, find_devices
from gateway.doctor.finding import Finding
from gateway.doctor.machine import Machine
from gateway.doctor.software import installed

_OVERLAYS_ON = re.compile(r"^\s*enable_uboot_overlays\s*=\s*1\s*$", re.MULTILINE)
_ADC_OFF = re.compile(r"^\s*disable_uboot_overlay_adc\s*=\s*1\s*$", re.MULTILINE)


def check_beaglebone(machine: Machine) -> Iterator[Finding]:
    """What the board `beaglebone` needs, from the outside in."""
    uenv = machine.text(UENV_PATH)
    adc = find_adc(machine)
    yield library_finding()
    yield bootloader_finding(uenv, adc is not None)
    yield adc_finding(uenv, adc)


def find_adc(machine: Machine) -> IioDevice | None:
    """The AM335x's converter, if the kernel has it."""
    devices = find_devices(machine.at("/sys"), machine.at("/dev"))
    return next((device for device in devices if am335x.is_am335x(device)), None)


def library_finding() -> Finding:
    """Whether Adafruit_BBIO can be imported: it is compiled, and may be so for another Python."""
    try:
        library.module("ADC")
    except BoardUnavailable as error:
        return Finding("library", "Adafruit_BBIO cannot be imported", str(error))
    return Finding("library", f"Adafruit-BBIO {installed('Adafruit-BBIO')}")


def bootloader_finding(uenv: str | None, adc_there: bool) -> Finding:
    """Whether the bootloader will load the ADC's overlay, at the next boot too."""
    if uenv is None and adc_there:
        return Finding("bootloader", f"no {UENV_PATH}, and the ADC is on without it")
    if uenv is not None and _OVERLAYS_ON.search(uenv) and not _ADC_OFF.search(uenv):
        return Finding("bootloader", f"{UENV_PATH} has enable_uboot_overlays=1 and does not switch the ADC off")
    if uenv is None:
        return Finding("bootloader", "the ADC is off", adc_advice(None))
    found = f"{UENV_PATH} keeps the ADC's overlay from being loaded"
    return Finding("bootloader", f"{found} at the next boot" if adc_there else found, adc_advice(uenv))


def adc_finding(uenv: str | None, adc: IioDevice | None) -> Finding:
    """Whether the kernel offers the ADC."""
    if adc is None:
        return Finding("adc", "no TI-am335x-adc in /sys/bus/iio/devices", adc_advice(uenv))
    how = "polled and captured" if adc.buffered else "polled only (this kernel has no buffer for it)"
    return Finding("adc", f"{adc.id} ({adc.name}), can be {how}")
