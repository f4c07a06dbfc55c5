"""The rate of the AM335x's converter, from its device tree."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from boards.iio import am335x
from boards.iio.sysfs import IioDevice, find_devices
from tests.standin.iio_tree import IioTree, am335x_tree


def device_of(tree: IioTree) -> IioDevice:
    return find_devices(tree.sys, tree.dev)[0]


def test_beagleboards_overlay_takes_376_cycles_a_sample() -> None:
    """The number is that of the comment in the kernel's include/linux/mfd/ti_am335x_tscadc.h."""
    assert am335x.Step(open_delay=152, averages=16).cycles == 376


def test_the_fastest_is_15_cycles_which_is_200_000_samples_a_second(tmp_path: Path) -> None:
    device = device_of(am335x_tree(tmp_path, averages=1, open_delay=0))
    assert am335x.Step(0, 0, 1).cycles == 15
    assert am335x.highest_rate(device, 1) == 200_000
    assert am335x.frame_rate(device, [f"voltage{line}" for line in range(8)]) == 25_000


@pytest.mark.parametrize(
    ("averages", "effective"), [(0, 1), (1, 1), (2, 2), (6, 2), (16, 16), (0x16, 16), (200, 16)]
)
def test_averages_are_what_the_driver_makes_of_them(averages: int, effective: int) -> None:
    """A power of two, of 16 at most: overlays with 0x16 where 16 was meant are not rare."""
    assert am335x.Step(averages=averages).effective_averages == effective


def test_without_the_properties_the_drivers_defaults_hold(tmp_path: Path) -> None:
    tree = am335x_tree(tmp_path)
    for path in (tree.device / "of_node").iterdir():
        path.unlink()
    assert am335x.frame_rate(device_of(tree), ["voltage0"]) == Fraction(3_000_000, 376)


def test_properties_go_by_the_order_of_the_channels(tmp_path: Path) -> None:
    tree = am335x_tree(tmp_path)
    node = tree.device / "of_node"
    (node / "ti,adc-channels").write_bytes(struct.pack(">2I", 5, 3))
    (node / "ti,chan-step-avg").write_bytes(struct.pack(">2I", 1, 16))
    device = device_of(tree)
    assert am335x.frame_rate(device, ["voltage5"]) == 200_000
    assert am335x.frame_rate(device, ["voltage3"]) == Fraction(3_000_000, 1 + 14 * 16)
    assert am335x.frame_rate(device, ["voltage3", "voltage5"]) == 12_500
    assert am335x.highest_rate(device, 1) == 200_000


@pytest.mark.parametrize("error", [-0.001, 0, 0.001])
def test_a_measured_rate_is_taken_for_the_nearest_of_whole_cycles(tmp_path: Path, error: float) -> None:
    device = device_of(am335x_tree(tmp_path, averages=16, open_delay=152))
    names = [f"voltage{line}" for line in range(8)]
    true = Fraction(3_000_000, 8 * 377)
    assert am335x.snapped(device, names, float(true) * (1 + error)) == true
