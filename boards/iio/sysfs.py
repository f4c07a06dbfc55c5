"""The files of one IIO device: attributes read and written, and errors that say what to do.

See the kernel's Documentation/ABI/testing/sysfs-bus-iio for what each file means.
"""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

from boards.errors import BoardError, BoardUnavailable, SourceLost
from boards.iio.scan import TIMESTAMP, Element, ScanType

GONE = frozenset(
    {errno.ENODEV, errno.ENXIO, errno.EBADF, errno.EIO, errno.ENOENT, errno.EREMOTEIO, errno.ETIMEDOUT}
)
"""What a device that was unplugged, unbound or reset answers."""


class IioDevice:
    """`/sys/bus/iio/devices/iio:deviceN` and its character device."""

    def __init__(self, path: Path, node: Path) -> None:
        self.path = path
        self.node = node
        """The character device, such as `/dev/iio:device0`."""
        self.id = path.name
        self.name = self.read("name") or self.id

    def read(self, attribute: str) -> str | None:
        """The attribute's text, or None if the device has no such attribute."""
        try:
            return (self.path / attribute).read_text().strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.failure(error, f"read {attribute}") from error

    def write(self, attribute: str, value: object) -> None:
        """Set an attribute. Raises SourceLost or BoardError, saying which, and what was to be written."""
        try:
            # Without O_CREAT: an attribute that the device does not have must not be made up.
            descriptor = os.open(self.path / attribute, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"{value}\n".encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self.failure(error, f"set {attribute} to {value}") from error

    def has(self, attribute: str) -> bool:
        """Whether the device offers the attribute."""
        return (self.path / attribute).exists()

    def failure(self, error: OSError, doing: str) -> BoardError:
        """The error to raise: what was attempted, on which device, and what to do about it."""
        what = f"{self.id} ({self.name}): cannot {doing}: {error.strerror or error}"
        if error.errno == errno.EBUSY:
            return SourceLost(
                f"{what}. Its buffer is in use: one stream at a time can capture from a device. If it is another "
                f"process, `fuser -v {self.node}` names it; iiod is a usual one (systemctl stop iiod)"
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return BoardUnavailable(
                f"{what}. Run as a user who may: `ls -l {self.node}` shows the group (often iio); add it with "
                "usermod -aG, or run as root"
            )
        if error.errno == errno.EINVAL and "buffer/enable" in doing:
            return BoardError(
                f"{what}. Its driver wants a trigger, or cannot capture these channels together: set the stream's "
                f"option `trigger` to one of: {', '.join(self.triggers()) or 'none yet (see iio-trig-hrtimer)'}"
            )
        if error.errno in GONE:
            return SourceLost(f"{what}. The device is gone")
        return BoardError(what)

    def triggers(self) -> list[str]:
        """Names of the triggers that there are."""
        found = sorted(self.path.parent.glob("trigger*/name"))
        return [path.read_text().strip() for path in found]

    def trigger(self, name: str) -> Path:
        """The folder of the trigger of that name. Raises BoardError naming those there are."""
        for path in sorted(self.path.parent.glob("trigger*")):
            if (path / "name").read_text().strip() == name:
                return path
        raise BoardError(
            f"{self.id} ({self.name}): no trigger {name!r}; there are: {', '.join(self.triggers()) or 'none'}"
        )

    @property
    def buffered(self) -> bool:
        """Whether the device offers capture through its character device."""
        return self.has("buffer/enable") and self.has("scan_elements")

    def elements(self) -> list[Element]:
        """Everything that can be captured, in the order of the scan; the timestamp too."""
        folder = self.path / "scan_elements"
        elements = []
        for path in folder.glob("*_en") if folder.exists() else ():
            name = path.name.removesuffix("_en")
            index, kind = self.read(f"scan_elements/{name}_index"), self.read(f"scan_elements/{name}_type")
            if index is None or kind is None:
                raise BoardError(
                    f"{self.id} ({self.name}): scan_elements has {name}_en but no {name}_index or _type"
                )
            elements.append(Element(name.removeprefix("in_"), int(index), ScanType.parse(kind)))
        return sorted(elements, key=lambda element: element.index)

    def raw_channels(self) -> list[str]:
        """What can be read one value at a time: `voltage0` for `in_voltage0_raw`."""
        return sorted(path.name[3:-4] for path in self.path.glob("in_*_raw"))

    def number(self, channel: str, attribute: str) -> float | None:
        """A channel's `scale` or `offset`: its own, or that of all of its kind (`in_voltage_scale`)."""
        kind = channel.split("[")[0]
        while kind:
            text = self.read(f"in_{kind}_{attribute}")
            if text:
                return float(text.split()[0])
            kind = _wider(kind)
        return None

    def frequency_attribute(self) -> str | None:
        """The attribute that sets how often all channels are sampled, if there is one."""
        for name in ("sampling_frequency", "buffer/sampling_frequency"):
            if self.has(name):
                return name
        shared = sorted(self.path.glob("in_*_sampling_frequency"))
        return shared[0].name if shared else None

    def frequencies(self) -> list[Fraction]:
        """The sampling frequencies that the device says it can be set to; empty if it does not say."""
        attribute = self.frequency_attribute()
        text = self.read(f"{attribute}_available") if attribute else None
        if not text or "[" in text:  # `[min step max]` is a range: the device itself refuses what is outside
            return []
        return sorted(Fraction(word) for word in text.split())


def _wider(kind: str) -> str:
    """`voltage0` is one of the `voltage`s; `accel_x` one of the `accel`s."""
    shorter = kind.rstrip("0123456789")
    if shorter != kind:
        return shorter
    return kind.rpartition("_")[0]


def find_devices(sysfs: Path, dev: Path) -> list[IioDevice]:
    """All IIO devices of the machine, by number."""
    paths = (sysfs / "bus/iio/devices").glob("iio:device*")
    ordered = sorted(paths, key=lambda path: int(path.name.removeprefix("iio:device")))
    return [IioDevice(path, dev / path.name) for path in ordered]


def choose_device(devices: list[IioDevice], wanted: str | None, where: Path) -> IioDevice:
    """The wanted one by `iio:deviceN` or name, or the only one. Raises BoardUnavailable naming those there are."""
    if not devices:
        raise BoardUnavailable(
            f"no IIO device in {where / 'bus/iio/devices'}: is the converter's driver loaded (lsmod, dmesg), "
            "and is its node on in the device tree?"
        )
    there = ", ".join(f"{device.id} ({device.name})" for device in devices)
    if wanted is None:
        if len(devices) == 1:
            return devices[0]
        raise BoardUnavailable(f"there is more than one IIO device; set the option `device` to one of: {there}")
    for device in devices:
        if wanted in (device.id, device.name, device.read("label")):
            return device
    raise BoardUnavailable(f"no IIO device {wanted!r}; there is: {there}")


def open_node(device: IioDevice) -> int:
    """The character device, open for reading without waiting. Raises what `device.failure()` makes of an error."""
    try:
        return os.open(device.node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise device.failure(error, f"open {device.node}") from error


__all__ = ["TIMESTAMP", "IioDevice", "choose_device", "find_devices", "open_node"]
