"""An IIO device made of plain files: the tree that `/sys/bus/iio` would show, and a FIFO for its character device.

The files are what `boards.iio` reads and writes; `feeder.py`, a process of its own, plays the kernel and fills
the FIFO.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FEEDER = Path(__file__).with_name("feeder.py")

AM335X_TYPES = {f"in_voltage{line}": "le:u12/16>>0" for line in range(8)}


class IioTree:
    """`root/sys` and `root/dev`, to be given to the board as its options `sysfs` and `dev`."""

    def __init__(
        self,
        root: Path,
        types: Mapping[str, str],
        *,
        number: int = 0,
        name: str = "stand-in",
        attributes: Mapping[str, str] | None = None,
        buffered: bool = True,
    ) -> None:
        self.root = root
        self.sys = root / "sys"
        self.dev = root / "dev"
        self.device = self.sys / f"bus/iio/devices/iio:device{number}"
        self.node = self.dev / f"iio:device{number}"
        self.device.mkdir(parents=True)
        self.dev.mkdir(exist_ok=True)
        self.write("name", name)
        if buffered:
            self._add_buffer(types)
        for attribute, value in (attributes or {}).items():
            self.write(attribute, value)

    @classmethod
    def at(cls, sys: Path, dev: Path) -> Self:
        """A tree that is there already."""
        tree = cls.__new__(cls)
        tree.root = tree.sys = sys
        tree.dev = dev
        tree.device = sys / "bus/iio/devices/iio:device0"
        tree.node = dev / "iio:device0"
        return tree

    @property
    def options(self) -> dict[str, Any]:
        """What the board needs to find this tree."""
        return {"sysfs": str(self.sys), "dev": str(self.dev)}

    def write(self, attribute: str, value: object) -> None:
        """Set an attribute as the kernel would."""
        path = self.device / attribute
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    def read(self, attribute: str) -> str:
        """What was written to an attribute."""
        return (self.device / attribute).read_text().strip()

    def take_away(self) -> None:
        """Unplug the device: its folder and its node are gone."""
        self.device.rename(self.root / "away")
        self.node.rename(self.root / "node")

    def bring_back(self) -> None:
        """Undo `take_away()`."""
        (self.root / "away").rename(self.device)
        (self.root / "node").rename(self.node)

    def _add_buffer(self, types: Mapping[str, str]) -> None:
        for index, (name, kind) in enumerate(types.items()):
            self.write(f"scan_elements/{name}_en", 0)
            self.write(f"scan_elements/{name}_index", index)
            self.write(f"scan_elements/{name}_type", kind)
        self.write("buffer/enable", 0)
        self.write("buffer/length", 2)
        self.write("buffer/watermark", 1)
        os.mkfifo(self.node)


def am335x_tree(root: Path, *, averages: int = 1, open_delay: int = 1, with_buffer: bool = True) -> IioTree:
    """The BeagleBone's converter. By default with an overlay for the highest rate, 15 cycles a sample."""
    raw = {f"in_voltage{line}_raw": f"{100 * line + 11:4d}" for line in range(8)}
    tree = IioTree(
        root,
        AM335X_TYPES,
        name="TI-am335x-adc.0.auto",
        attributes={**raw, "in_voltage_scale": "0.439453125"},
        buffered=with_buffer,
    )
    cells = {
        "ti,adc-channels": range(8),
        "ti,chan-step-avg": [averages] * 8,
        "ti,chan-step-opendelay": [open_delay] * 8,
        "ti,chan-step-sampledelay": [0] * 8,
    }
    node = tree.device / "of_node"
    node.mkdir()
    for name, values in cells.items():
        (node / name).write_bytes(struct.pack(">8I", *values))
    return tree


class Feeder:
    """The process that plays the kernel for a tree; talk to it with `tell()`."""

    def __init__(self, tree: IioTree, rate: float, *arguments: str) -> None:
        command = [sys.executable, str(FEEDER), str(tree.device), str(tree.node), str(rate), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.wait_for("ready")

    def wait_for(self, word: str) -> None:
        """Read the feeder's answers up to `word`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == word:
                return
        raise AssertionError(f"the feeder ended without saying {word!r}")

    def tell(self, *command: object) -> None:
        """Give a command and wait until it was done."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(str(word) for word in command) + "\n")
        self.process.stdin.flush()
        self.wait_for("done")

    def stop(self) -> dict[str, int]:
        """End the feeder; how many frames it made, and how many of them the full buffer refused."""
        output, _ = self.process.communicate("quit\n", timeout=20)
        counts: dict[str, int] = json.loads(output.strip().splitlines()[-1])
        return counts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def frame_numbers(frames: Any) -> Any:
    """The feeder's own number of each frame, from its first two channels (voltage0 and voltage1)."""
    return frames[:, 0].astype("int64") + (frames[:, 1].astype("int64") << 12)


def write_raw(tree: IioTree, values: Sequence[int]) -> None:
    """Put values into `in_voltageN_raw`, in place and with a fixed width, so that no reader sees half of one."""
    for line, value in enumerate(values):
        descriptor = os.open(tree.device / f"in_voltage{line}_raw", os.O_WRONLY)
        try:
            os.pwrite(descriptor, f"{value:4d}\n".encode(), 0)
        finally:
            os.close(descriptor)
