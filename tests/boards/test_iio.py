"""The IIO board held to the contract, on a tree of files and a FIFO that another process feeds."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import pytest

from boards import SourceRequest
from boards.base import Board
from boards.iio import IioBoard
from tests.boards.contract import QuietContract, SourceContract, UnplugContract
from tests.standin.iio_requests import STAMPED, channels, eight
from tests.standin.iio_tree import Feeder, IioTree, am335x_tree, write_raw


class FedContract(SourceContract, UnplugContract):
    """The contract, with a tree and a feeder that can be taken away."""

    tree: IioTree
    feeder: Feeder
    rate: ClassVar[float]
    chunk: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _fed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.tree = self.make_tree(tmp_path)
        monkeypatch.setattr(IioBoard, "sysfs", self.tree.sys)
        monkeypatch.setattr(IioBoard, "dev", self.tree.dev)
        self.feeder = Feeder(self.tree, self.rate, self.chunk)
        yield
        self.feeder.__exit__(None, None, None)

    def make_tree(self, root: Path) -> IioTree:
        raise NotImplementedError

    def make_board(self) -> Board:
        return IioBoard()

    def unplug(self) -> None:
        self.tree.take_away()
        self.feeder.__exit__(None, None, None)

    def replug(self) -> None:
        self.tree.bring_back()
        self.feeder = Feeder(self.tree, self.rate, self.chunk)


class TestAm335xAtFullRate(FedContract):
    """8 x 25 kS/s, numbered by arrival: the stamps follow the arrivals to within 2 ms."""

    rate = 25_000
    chunk = "64"
    stamp_tolerance = Fraction(50)
    enough = 10_000

    def make_tree(self, root: Path) -> IioTree:
        return am335x_tree(root)

    def make_request(self) -> SourceRequest:
        return eight(25_000, 2500)


class TestAm335xReducedToTheStreamsRate(FedContract):
    """500 Hz from a converter that runs at 25 000 Hz."""

    rate = 25_000
    chunk = "64"
    stamp_tolerance = Fraction(1)

    def make_tree(self, root: Path) -> IioTree:
        return am335x_tree(root)

    def make_request(self) -> SourceRequest:
        return eight(500, 50, capture="buffered")


class TestTimeStampedDevice(FedContract):
    """1 kHz, numbered by the kernel's time stamps."""

    rate = 1000
    chunk = "1"
    stamp_tolerance = Fraction(1)

    def make_tree(self, root: Path) -> IioTree:
        attributes = {"current_timestamp_clock": "realtime", "sampling_frequency": "1000"}
        return IioTree(root, STAMPED, attributes=attributes)

    def make_request(self) -> SourceRequest:
        return SourceRequest(channels("voltage0", "voltage2"), Fraction(1000), 50)


class TestPolledDevice(SourceContract, QuietContract, UnplugContract):
    """A device without a buffer, read value by value."""

    tree: IioTree
    stamp_tolerance = Fraction(1, 2)

    @pytest.fixture(autouse=True)
    def _there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tree = am335x_tree(tmp_path, with_buffer=False)
        (self.tree.node).touch()
        monkeypatch.setattr(IioBoard, "sysfs", self.tree.sys)
        monkeypatch.setattr(IioBoard, "dev", self.tree.dev)

    def make_board(self) -> Board:
        return IioBoard()

    def make_request(self) -> SourceRequest:
        return SourceRequest(channels("voltage0", "voltage3"), Fraction(100), 10)

    def make_quiet_request(self) -> SourceRequest:
        return SourceRequest(channels("voltage0"), Fraction(1, 2), 1)

    def unplug(self) -> None:
        # An open sysfs file of a device that is gone answers ENODEV; a plain one can only be made to be no number.
        write_raw(self.tree, [])
        for line in range(8):
            (self.tree.device / f"in_voltage{line}_raw").write_text("gone\n")
        self.tree.take_away()

    def replug(self) -> None:
        self.tree.bring_back()
        write_raw(self.tree, [100 * line + 11 for line in range(8)])
