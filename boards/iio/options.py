"""What can be set about an IIO board and the streams on it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from boards.iio.resample import Reduction
from boards.options import Options


class IioOptions(Options):
    """The board's options."""

    device: str | None = None
    """`iio:device0`, or the device's name or label; not needed where there is only one."""
    sysfs: Path | None = None
    """Where sysfs is, if not at /sys."""
    dev: Path | None = None
    """Where the character devices are, if not in /dev."""


class CaptureOptions(Options):
    """A stream's options."""

    capture: Literal["auto", "buffered", "polled"] = "auto"
    """`buffered` through the character device, `polled` value by value; `auto` polls what is slow enough."""
    trigger: str | None = None
    """The trigger that starts each scan; none for a device that paces itself, or to leave it as it is."""
    buffer_s: float = Field(default=2.0, ge=0.05, le=60)
    """How many seconds of frames the kernel's buffer shall hold: how long the reader may be held up."""
    reduce: Reduction = "mean"
    """How a frame is made of several, where the device runs faster than the stream asks."""
