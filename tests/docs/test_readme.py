"""The README's examples work as they stand there."""

from __future__ import annotations

import sys
import tomllib
from fractions import Fraction
from pathlib import Path

import numpy as np
from paho.mqtt import publish

from gateway.codec import CODECS
from gateway.config import DeviceConfig, load_mapping
from gateway.device.plan import Plan
from gateway.model import Batch, Gap
from tests.support.mosquitto import Mosquitto
from tests.support.pages import Page, blocks
from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until

README = Page("README.md")


def test_its_configuration_is_that_of_a_device() -> None:
    [text] = blocks(README.text, "toml")
    plan = Plan(load_mapping(DeviceConfig, tomllib.loads(text), "README.md"))
    assert "bbb1/ecg: lead_i (P9_39) at 500 Hz" in plan.describe()[1]


def test_ten_lines_of_python_read_samples_and_gaps(mosquitto: Mosquitto, tmp_path: Path) -> None:
    [program] = [text for text in blocks(README.text, "python") if "subscribe" in text]
    place = '"127.0.0.1", 1883'
    assert place in program
    script = tmp_path / "subscriber.py"
    script.write_text(program.replace(place, f'"127.0.0.1", {mosquitto.port}'))
    batch = Batch(1, 4711, 0, 0, np.array([[12, 34]], np.int16), Fraction(500), None, None, 1)
    messages = [CODECS["cbor"].encode(item) for item in (batch, Gap(1, 4712, 37, "late"))]
    with RunningProcess([sys.executable, "-u", str(script)]) as reader:

        def both_arrived() -> bool:
            for payload in messages:  # again until the reader has subscribed
                publish.single("headwater/demo/stream/ecg/batch", payload, 1, port=mosquitto.port)
            return "lost" in reader.out and "4711" in reader.out

        wait_until(both_arrived, f"samples and gaps in {reader}")
        assert "4711 [12 34]" in reader.out
        assert "37 frames from 4712 are lost: late" in reader.out
