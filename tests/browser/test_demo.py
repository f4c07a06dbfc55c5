"""The page of a real demo, and of a device, a broker and a relay that are processes of their own."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from boards.base import Channel, SourceRequest
from boards.simulated import SimulatedBoard
from gateway.cli.demo import FRONT_END, VOLT_PER_COUNT
from tests.browser.driving import hover, number, pause, shown_values, wait_for_frames, wait_for_index
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.processes import HeadwaterProcess

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_a_demo_moves_and_its_paused_trace_reads_what_the_board_made(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with HeadwaterProcess("demo", "--port", str(port), "--mqtt-port", str(free_port()), state=tmp_path) as demo:
        demo.wait_for("Ctrl-C")
        page.goto(f"http://127.0.0.1:{port}/")
        wait_for_frames(page, 1000)
        plot = page.get_by_test_id("plot")
        wait_for_index(page, number(plot, "data-newest-index") + 100)
        pause(page)
        hover(page, 0.97)
        readout = page.get_by_test_id("readout")
        expect(readout).to_have_attribute("data-index", re.compile(r"\d+"))
        index = int(readout.get_attribute("data-index") or "")
        request = SourceRequest((Channel("lead_i", "P9_39"), Channel("respiration", "P9_40")), Fraction(500))
        lead, respiration = SimulatedBoard({"seed": 0}).expected(request, index, 1)[0].tolist()
        expected = [lead * FRONT_END["scale"] + FRONT_END["offset"], respiration * VOLT_PER_COUNT]
        assert shown_values(page) == pytest.approx(expected, abs=0.0006)
        expect(page.get_by_test_id("cursor-time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d\.\d\d\d"))
        assert demo.terminate() == 0


def test_the_trace_goes_on_after_the_broker_was_restarted(page: Page, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "device.toml"
    with Mosquitto(tmp_path) as broker:
        config.write_text(
            f'[device]\nname = "bbb1"\n[mqtt]\nurl = "{broker.url}"\n[[stream]]\nname = "ecg"\nrate = 500\n'
            '[[stream.channel]]\nname = "lead_i"\ninput = "P9_39"\n',
            encoding="utf-8",
        )
        settings = ("--set", f"mqtt.url={broker.url}", "--set", f"relay.listen=127.0.0.1:{port}")
        device = HeadwaterProcess("run", str(config), state=tmp_path)
        with device, HeadwaterProcess("relay", *settings, state=tmp_path) as relay:
            relay.wait_for("connected")
            page.goto(f"http://127.0.0.1:{port}/#stream=bbb1/ecg")
            wait_for_frames(page, 500)
            broker.kill()
            expect(page.get_by_test_id("broker-state")).to_have_attribute("data-health", "bad")
            index = number(page.get_by_test_id("plot"), "data-newest-index")
            broker.start()
            expect(page.get_by_test_id("broker-state")).to_have_attribute("data-health", "good")
            wait_for_index(page, index + 500)
