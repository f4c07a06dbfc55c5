"""A BeagleBone's sysfs in a private mount namespace, for the real Adafruit_BBIO.

`in_namespace(command)` gives the command that runs `command` there. Inside, `/sys` is a tmpfs with the ADC, two
GPIOs, the user LEDs and the pins' multiplexers, and `/proc/cmdline` says that U-Boot loaded the overlays: what
Adafruit_BBIO 1.2.5 looks for. Nothing outside the namespace changes.

As a script: `beaglebone_sysfs.py [--no-overlays] command …` mounts all this and becomes the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.standin.iio_tree import IioTree, am335x_tree

SYS = Path("/sys")
CMDLINE = Path("/proc/cmdline")
GPIOS = {"P9_12": 60, "P9_15": 48}
UART4_PINS = ("P9_11", "P9_13")


def in_namespace(*command: str, overlays: bool = True) -> list[str]:
    """The command that runs `command` on the stand-in. Needs root, or user namespaces."""
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    script = [sys.executable, "-m", "tests.standin.beaglebone_sysfs", *([] if overlays else ["--no-overlays"])]
    return [*unshare, "--", *script, *command]


def why_no_namespace() -> str | None:
    """None if this user may make one, else what the kernel says."""
    tried = subprocess.run(in_namespace("true"), capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"a private mount namespace cannot be made: {tried.stderr.strip()}"


def adc_tree() -> IioTree:
    """The ADC of the stand-in, from inside the namespace."""
    return IioTree.at(SYS, SYS / "dev-nodes")


def write_in_place(path: Path, text: str) -> None:
    """As the kernel changes a value: no reader sees half of it."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, text.encode(), 0)
    finally:
        os.close(descriptor)


def _build(root: Path) -> None:
    """The tree that is to be `/sys`; the ADC's character device is in `dev-nodes`."""
    am335x_tree(root / "adc")
    (root / "adc/sys/bus").rename(root / "bus")
    (root / "adc/dev").rename(root / "dev-nodes")
    (root / "adc/sys").rmdir()
    (root / "adc").rmdir()
    for number in GPIOS.values():
        folder = root / f"class/gpio/gpio{number}"
        folder.mkdir(parents=True)
        (folder / "value").write_text("0\n")
        (folder / "direction").write_text("in\n")
    for led in range(4):
        folder = root / f"class/leds/beaglebone:green:usr{led}"
        folder.mkdir(parents=True)
        (folder / "brightness").write_text("0\n")
    for pin in (*GPIOS, *UART4_PINS):
        folder = root / f"devices/platform/ocp/ocp:{pin}_pinmux"
        folder.mkdir(parents=True)
        (folder / "state").write_text("default\n")


def _mount(overlays: bool) -> None:
    root = Path(tempfile.mkdtemp(prefix="stand-in-sys-"))
    _run("mount", "-t", "tmpfs", "-o", "size=16m", "stand-in", str(root))
    _build(root)
    if overlays:
        cmdline = root / "cmdline"
        cmdline.write_text(CMDLINE.read_text().strip() + " bone_capemgr.uboot_capemgr_enabled=1\n")
        _run("mount", "--bind", str(cmdline), str(CMDLINE))
    _run("mount", "--bind", str(root), str(SYS))
    _run("umount", str(root))
    root.rmdir()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    _mount(overlays="--no-overlays" not in arguments)
    becoming = [argument for argument in arguments if argument != "--no-overlays"]
    os.execvp(becoming[0], becoming)
