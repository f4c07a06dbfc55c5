"""How fast the AM335x's converter runs: its device tree says, and nothing else can be set.

The driver, ti_am335x_adc, samples without a trigger and without time stamps as soon as its buffer is enabled,
at the rate that follows from the steps' delays and averaging (kernel: Documentation/devicetree/bindings/iio/
adc/ti,am3359-adc.yaml):

    cycles of a step = open delay + (sample delay + 1 + 13) * averages

(include/linux/mfd/ti_am335x_tscadc.h), one step after another for each enabled channel, at 3 MHz. BeagleBoard's
BB-ADC-00A0 overlay has open delay 152 and 16 averages: 376 cycles, 7979 samples a second over all channels. With
no delay and no averaging it is 15 cycles and 200 000 samples a second.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from boards.iio.sysfs import IioDevice

NAME = "TI-am335x-adc"
"""The device's `name` begins with it."""

CLOCK_HZ = 3_000_000
CONVERSION_CYCLES = 13
MAXIMUM_AVERAGES = 16
DEFAULT_OPEN_DELAY = 0x98
DEFAULT_AVERAGES = 16


@dataclass(frozen=True, slots=True)
class Step:
    """The timing of one channel's conversion, in cycles of the ADC's clock."""

    open_delay: int = DEFAULT_OPEN_DELAY
    sample_delay: int = 0
    averages: int = DEFAULT_AVERAGES

    @property
    def cycles(self) -> int:
        """How long the conversion takes; the step is open for one cycle at least."""
        return max(1, self.open_delay) + (self.sample_delay + 1 + CONVERSION_CYCLES) * self.effective_averages

    @property
    def effective_averages(self) -> int:
        """The driver takes the lowest set bit, of 16 at most: `STEPCONFIG_AVG(ffs(step_avg) - 1)`."""
        averages = min(self.averages, MAXIMUM_AVERAGES)
        return averages & -averages or 1


def is_am335x(device: IioDevice) -> bool:
    """Whether the device is the AM335x's own converter."""
    return device.name.startswith(NAME)


def steps(device: IioDevice) -> dict[str, Step]:
    """The timing of each channel (`voltage0` …), from the device tree or the driver's defaults."""
    lines = _cells(device, "ti,adc-channels") or range(8)
    open_delays = _cells(device, "ti,chan-step-opendelay")
    sample_delays = _cells(device, "ti,chan-step-sampledelay")
    averages = _cells(device, "ti,chan-step-avg")
    found = {}
    for place, line in enumerate(lines):
        found[f"voltage{line}"] = Step(
            open_delays[place] if place < len(open_delays) else DEFAULT_OPEN_DELAY,
            sample_delays[place] if place < len(sample_delays) else 0,
            averages[place] if place < len(averages) else DEFAULT_AVERAGES,
        )
    return found


def frame_rate(device: IioDevice, channels: Sequence[str]) -> Fraction:
    """Frames a second when these channels (`voltage0` …) are captured together."""
    known = steps(device)
    return Fraction(CLOCK_HZ, sum(known.get(channel, Step()).cycles for channel in channels))


def highest_rate(device: IioDevice, channels: int) -> Fraction:
    """Frames a second of the fastest so many channels."""
    cycles = sorted(step.cycles for step in steps(device).values())
    return Fraction(CLOCK_HZ, sum(cycles[: max(1, channels)]))


def snapped(device: IioDevice, channels: Sequence[str], measured_hz: float) -> Fraction:
    """The rate of a whole number of cycles that is nearest to the measured one."""
    known = steps(device)
    alike = len({known.get(channel, Step()).cycles for channel in channels}) == 1
    unit = len(channels) if alike else 1
    return Fraction(CLOCK_HZ, unit * max(1, round(CLOCK_HZ / (measured_hz * unit))))


def _cells(device: IioDevice, name: str) -> tuple[int, ...]:
    """A property of 32-bit big-endian cells, as the device tree has them; empty if it is not there."""
    path = device.path / "of_node" / name
    if not path.exists():
        return ()
    data = path.read_bytes()
    return struct.unpack(f">{len(data) // 4}I", data[: len(data) // 4 * 4])
