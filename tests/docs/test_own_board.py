"""The board of one's own in docs/boards.md: installed as it stands there, found, and held to the contract."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boards.base import Board, SourceRequest
from boards.registry import list_boards, load_board
from gateway.config import DeviceConfig, load_mapping
from gateway.device.plan import Plan
from tests.boards.contract import SourceContract, UnplugContract
from tests.support.pages import Page, blocks

SECTION = Page("docs/boards.md").section("A board of your own")
CODE, SUITE = blocks(SECTION, "python")
PACKAGE, DEVICE = (tomllib.loads(block) for block in blocks(SECTION, "toml"))


@pytest.fixture
def hwmon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A sensor of 21.5 °C, and the package of the page, as pip installs it."""
    project = PACKAGE["project"]
    [(name, value)] = project["entry-points"]["headwater.boards"].items()
    module = value.partition(":")[0]
    (tmp_path / f"{module}.py").write_text(CODE)
    info = tmp_path / f"{module}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(f"[headwater.boards]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sensor = tmp_path / "hwmon0"
    sensor.mkdir()
    (sensor / "temp1_input").write_text("21500\n")
    monkeypatch.setattr(load_board("hwmon"), "folder", tmp_path)
    yield sensor / "temp1_input"
    sys.modules.pop(module)


def suite() -> Any:
    """The class that the page writes."""
    names: dict[str, Any] = {"__name__": "suite_of_the_page"}
    exec(compile(SUITE, "docs/boards.md", "exec"), names)
    return names["TestHwmon"]


def test_it_has_forty_lines_and_no_more() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 40


class TestTheContract(SourceContract, UnplugContract):
    @pytest.fixture(autouse=True)
    def _sensor(self, hwmon: Path) -> None:
        self.file = hwmon
        self.written = suite()()
        assert isinstance(self.written, SourceContract)

    def make_board(self) -> Board:
        return self.written.make_board()  # type: ignore[no-any-return]

    def make_request(self) -> SourceRequest:
        return self.written.make_request()  # type: ignore[no-any-return]

    def unplug(self) -> None:
        self.file.rename(self.file.with_name("away"))

    def replug(self) -> None:
        self.file.with_name("away").rename(self.file)


def test_it_is_listed_beside_the_others(hwmon: Path) -> None:
    entry = next(entry for entry in list_boards() if entry.name == "hwmon")
    assert (entry.origin, entry.unavailable) == ("headwater-hwmon", None)


def test_without_a_sensor_it_says_what_to_load(hwmon: Path) -> None:
    hwmon.unlink()
    assert "modprobe" in (load_board("hwmon").availability() or "")


def test_the_pages_configuration_reads_the_sensor_in_degrees(hwmon: Path) -> None:
    [planned] = Plan(load_mapping(DeviceConfig, DEVICE, "docs/boards.md")).streams
    [channel] = planned.stream.channels
    with planned.source as source:
        while not len(frames := source.read().frames):
            pass
    assert frames.dtype == np.int32
    assert (frames[0, 0] * channel.scale + channel.offset, channel.unit) == (21.5, "°C")
