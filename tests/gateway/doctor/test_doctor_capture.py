"""The right to capture from an IIO device."""

from __future__ import annotations

from pathlib import Path

import pytest

from boards.iio import IioBoard
from boards.iio.sysfs import IioDevice, find_devices
from gateway.config import DeviceConfig, load_mapping
from gateway.doctor import Machine, examine_device
from gateway.doctor.capture import capture_finding
from tests.gateway.doctor.standin import StandIn, as_ordinary_user
from tests.standin.iio_tree import IioTree, am335x_tree


def device_of(tree: IioTree) -> IioDevice:
    return find_devices(tree.sys, tree.dev)[0]


@pytest.fixture
def tree(open_folder: Path) -> IioTree:
    return am335x_tree(open_folder)


def test_a_device_that_is_free_can_be_captured_from(tree: IioTree) -> None:
    finding = capture_finding(device_of(tree), Machine(tree.root))
    assert finding.ok
    assert "iio:device0 (TI-am335x-adc.0.auto)" in finding.found


@pytest.mark.parametrize(("path", "doing"), [("dev/iio:device0", "read"), ("buffer/enable", "written")])
def test_a_device_of_root_alone_is_told_of(tree: IioTree, path: str, doing: str) -> None:
    device = device_of(tree)
    device.node.chmod(0o666)
    (device.path / "buffer/enable").chmod(0o666)
    (device.node if path.startswith("dev") else device.path / path).chmod(0o400 if doing == "written" else 0)
    with as_ordinary_user():
        finding = capture_finding(device, Machine(tree.root))
    assert f"{path} may not be {doing} by this user" in finding.found
    assert "udev" in (finding.todo or "")


def test_a_device_without_a_node_is_told_of(tree: IioTree) -> None:
    tree.node.unlink()
    assert "has no" in capture_finding(device_of(tree), Machine(tree.root)).found


@pytest.mark.parametrize(
    ("command", "ok", "says"),
    [
        (None, False, "fuser"),
        (("/usr/sbin/iiod",), False, "end that"),
        (("/usr/bin/headwater", "run"), True, "by Headwater itself"),
    ],
)
def test_a_device_that_is_captured_from_names_who_does(
    tree: IioTree, command: tuple[str, ...] | None, ok: bool, says: str
) -> None:
    tree.write("buffer/enable", 1)
    there = StandIn(tree.root)
    if command:
        there.run(99, *command, files=["/dev/iio:device0"])
    finding = capture_finding(device_of(tree), there.machine)
    assert finding.ok is ok
    assert says in finding.line()


def test_a_captured_stream_of_the_board_iio_is_looked_at(tree: IioTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IioBoard, "sysfs", tree.sys)
    monkeypatch.setattr(IioBoard, "dev", tree.dev)
    content = {
        "device": {"board": "iio", "state": str(tree.root)},
        "mqtt": {"url": "mqtt://127.0.0.1:1"},
        "stream": [{"name": "fast", "rate": 20_000, "channel": [{"name": "a", "input": "voltage0"}]}],
    }
    found = {f.check: f for f in examine_device(load_mapping(DeviceConfig, content, "test"), Machine(tree.root))}
    assert found["capture"].ok
