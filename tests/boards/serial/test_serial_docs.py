"""What docs/boards-serial.md says is what the options are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

from boards import Channel, SourceRequest
from boards.serial import SerialOptions, open_serial_source
from boards.serial.crc import CRCS
from boards.serial.instruments import INSTRUMENTS
from boards.serial.options import FrameName, ParseName

PAGE = (Path(__file__).parents[3] / "docs" / "boards-serial.md").read_text()


def test_the_example_is_accepted() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    [stream] = tomllib.loads(example)["stream"]
    channels = tuple(Channel(channel["name"], "") for channel in stream["channel"])
    assert open_serial_source(SourceRequest(channels), stream["serial"]).options.port == "/dev/ttyS1"


def test_every_option_and_every_kind_is_named() -> None:
    kinds = [*get_args(FrameName), *get_args(ParseName), *CRCS, *(f'"simulated:{kind}"' for kind in INSTRUMENTS)]
    for name in [*SerialOptions.model_fields, *kinds]:
        assert re.search(rf"`[^`]*{re.escape(name.strip(chr(34)))}\b[^`]*`", PAGE), name
