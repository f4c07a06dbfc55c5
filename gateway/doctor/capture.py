"""Whether this user may capture from an IIO device, and whether nobody else does."""

from __future__ import annotations

import os
from pathlib import Path

from boards.iio.sysfs import IioDevice
from gateway.doctor.finding import Finding
from gateway.doctor.machine import Machine


def capture_finding(device: IioDevice, machine: Machine) -> Finding:
    """Whether the device's buffer can be switched on and read."""
    what = f"{device.id} ({device.name})"
    switch = device.path / "buffer/enable"
    for path, right, doing in ((device.node, os.R_OK, "read"), (switch, os.W_OK, "written")):
        if not path.exists():
            return Finding("capture", f"{what} has no {path}", "is the kernel built with CONFIG_IIO_BUFFER?")
        if not os.access(path, right, effective_ids=True):
            todo = "run Headwater as root, or give its user the right by a udev rule (see docs/boards.md)"
            return Finding("capture", f"{path} may not be {doing} by this user", todo)
    if device.read("buffer/enable") == "1":
        return _busy(what, device.node, switch, machine)
    return Finding("capture", f"{what} can be captured from by this user")


def _busy(what: str, node: Path, switch: Path, machine: Machine) -> Finding:
    holder = machine.holder(lambda file: file == f"/dev/{node.name}")
    if holder is None:
        todo = f"`sudo fuser -v {node}` says by whom; if by nobody: echo 0 > {switch}"
        return Finding("capture", f"{what} is being captured from", todo)
    if holder.is_headwater:
        return Finding("capture", f"{what} is being captured from by Headwater itself: {holder}")
    return Finding("capture", f"{what} is being captured from by {holder}", "end that (iiod is a usual one)")
