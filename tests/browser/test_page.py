"""The page in a real browser, against a stand-in of the relay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.driving import (
    ANY_NUMBER,
    PATIENCE_MS,
    hover,
    number,
    pause,
    shown_values,
    trace_pixels,
    wait_for_frames,
    wait_for_index,
)
from tests.browser.relay_stub import CHANNELS, GAP_COUNT, META, STREAM, RelayStub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

PICTURE = "panel => panel.querySelector('canvas').toDataURL()"


@pytest.fixture
def relay() -> Iterator[RelayStub]:
    """Where the page and its stream come from, and what was sent."""
    relay = RelayStub()
    relay.start()
    yield relay
    relay.stop()


@pytest.fixture
def page_url(relay: RelayStub) -> str:
    """The address of the page."""
    return relay.url


@pytest.fixture
def plot(page: Page, page_url: str) -> Locator:
    """The root of the traces on the opened page, with data in it."""
    page.goto(page_url)
    plot = page.get_by_test_id("plot")
    wait_for_frames(page, 200)
    return plot


def test_the_trace_of_every_channel_moves(page: Page, plot: Locator) -> None:
    panels = page.get_by_test_id("panel")
    expect(panels).to_have_count(2)
    expect(panels.first).to_contain_text("lead_i")
    expect(panels.first).to_contain_text("mV")
    index = number(plot, "data-newest-index")
    before = [panel.evaluate(PICTURE) for panel in panels.all()]
    wait_for_index(page, index + 250)
    after = [panel.evaluate(PICTURE) for panel in panels.all()]
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_says_how_relay_broker_and_device_stand_and_at_what_rate(page: Page, plot: Locator) -> None:
    for chip in ("link-state", "broker-state", "device-state"):
        expect(page.get_by_test_id(chip)).to_have_attribute("data-health", "good")
    expect(page.get_by_test_id("rate")).to_contain_text("/ 500 Hz")
    expect(page.get_by_test_id("stream")).to_have_value(STREAM)
    expect(page.get_by_test_id("notice")).to_be_hidden()
    assert f"stream={STREAM}" in page.url


def test_a_paused_trace_stands_still_while_frames_go_on_arriving(page: Page, plot: Locator) -> None:
    pause(page)
    panel = page.get_by_test_id("panel").first
    index, picture = number(plot, "data-newest-index"), panel.evaluate(PICTURE)
    wait_for_frames(page, 500)
    assert number(plot, "data-newest-index") == index
    assert panel.evaluate(PICTURE) == picture
    page.keyboard.press("Space")
    wait_for_index(page, index + 500)


def test_the_cursor_reads_the_time_and_values_that_were_sent(page: Page, plot: Locator, relay: RelayStub) -> None:
    pause(page)
    readout = page.get_by_test_id("readout")
    read = set()
    for part in (0.99, 0.97, 0.95):
        hover(page, part)
        expect(readout).to_have_attribute("data-index", ANY_NUMBER)
        index = int(readout.get_attribute("data-index") or "")
        read.add(index)
        assert float(readout.get_attribute("data-utc-ms") or "") == pytest.approx(
            relay.utc_ns(index) / 1e6, abs=0.002
        )
        assert shown_values(page) == pytest.approx(relay.physical(index), abs=0.0006)
    assert len(read) == 3


def test_the_cursor_shows_utc_when_asked_to(page: Page, plot: Locator, relay: RelayStub) -> None:
    page.get_by_test_id("zone").click()
    pause(page)
    hover(page, 0.98)
    readout = page.get_by_test_id("readout")
    expect(readout).to_have_attribute("data-index", ANY_NUMBER)
    milliseconds = round(float(readout.get_attribute("data-utc-ms") or "") * 1000) // 1000
    expected = page.evaluate("ms => new Date(ms).toISOString().slice(11, 23)", milliseconds)
    expect(page.get_by_test_id("cursor-time")).to_have_text(expected)


def test_arrow_keys_step_from_sample_to_sample(page: Page, plot: Locator, relay: RelayStub) -> None:
    pause(page)
    page.get_by_test_id("plot-area").focus()
    page.keyboard.press("ArrowLeft")
    readout = page.get_by_test_id("readout")
    expect(readout).to_have_attribute("data-index", ANY_NUMBER)
    index = int(readout.get_attribute("data-index") or "")
    page.keyboard.press("ArrowLeft")
    expect(readout).to_have_attribute("data-index", str(index - 1))
    page.keyboard.press("Shift+ArrowLeft")
    expect(readout).to_have_attribute("data-index", str(index - 11))
    assert shown_values(page) == pytest.approx(relay.physical(index - 11), abs=0.0006)


def test_a_gap_is_drawn_as_a_gap_counted_and_named(page: Page, plot: Locator) -> None:
    page.wait_for_function(
        """() => {
          const { marks, fromMs, toMs } = document.querySelector('[data-testid=plot]').dataset;
          return JSON.parse(marks ?? '[]').some(
            (mark) => mark.kind === 'lost' && mark.from_ms > +fromMs && mark.to_ms < +toMs - 500);
        }"""
    )
    pause(page)
    fields: dict[str, str] = plot.evaluate("plot => ({ ...plot.dataset })")
    start, end = float(fields["fromMs"]), float(fields["toMs"])
    marks: list[dict[str, Any]] = page.evaluate("JSON.parse", fields["marks"])
    gap = [mark for mark in marks if mark["kind"] == "lost" and mark["to_ms"] < end][-1]
    assert (gap["count"], gap["reason"]) == (GAP_COUNT, "overrun")
    first, last = ((gap[edge] - start) / (end - start) for edge in ("from_ms", "to_ms"))
    for panel in page.get_by_test_id("panel").all():
        assert trace_pixels(panel, first, last) == 0
        assert trace_pixels(panel, last, 1) > 50

    hover(page, (first + last) / 2)
    expect(page.get_by_test_id("readout")).to_have_attribute("data-gap", "overrun")
    expect(page.get_by_test_id("cursor-index")).to_have_text(f"{GAP_COUNT} frames lost: overrun")
    assert page.get_by_test_id("value").all_text_contents() == ["—", "—"]
    lost = int(page.get_by_test_id("lost").get_attribute("data-count") or "")
    assert lost > 0
    assert lost % GAP_COUNT == 0
    expect(page.get_by_test_id("lost-reasons")).to_contain_text("overrun")


def test_comes_back_by_itself_after_the_relay_restarted(page: Page, plot: Locator, relay: RelayStub) -> None:
    relay.stop()
    relay.remembers = False
    notice = page.get_by_test_id("notice")
    expect(notice).to_have_attribute("data-trouble", "relay", timeout=PATIENCE_MS)
    expect(page.get_by_test_id("link-state")).to_have_attribute("data-health", "bad")
    index = number(plot, "data-newest-index")
    relay.start()
    wait_for_index(page, index + 250)
    expect(notice).to_be_hidden()
    expect(page.get_by_test_id("link-state")).to_have_attribute("data-health", "good")
    expect(page.get_by_test_id("missed")).to_have_attribute("data-health", "bad")
    expect(plot).to_have_attribute("data-marks", re.compile('"kind":"missing"'))


def test_a_restart_of_the_device_is_a_new_epoch_beside_the_old_trace(
    page: Page, plot: Locator, relay: RelayStub
) -> None:
    old = plot.get_attribute("data-epoch")
    relay.stop()
    relay.begin_epoch()
    relay.start()
    expect(plot).to_have_attribute("data-epoch", str(relay.epoch))
    assert old != str(relay.epoch)
    expect(plot).to_have_attribute("data-marks", re.compile('"kind":"restart"'))
    wait_for_index(page, 100)
    assert number(plot, "data-newest-index") < 10_000


@pytest.mark.parametrize(
    ("message", "chip", "trouble"),
    [
        ({"type": "broker", "connected": False}, "broker-state", "broker"),
        ({"type": "status", "device": "demo", "status": {"v": 1, "online": False}}, "device-state", "offline"),
    ],
)
def test_says_why_no_samples_come(
    page: Page, plot: Locator, relay: RelayStub, message: dict[str, Any], chip: str, trouble: str
) -> None:
    relay.silent = True
    relay.say(message)
    expect(page.get_by_test_id(chip)).to_have_attribute("data-health", "bad")
    expect(page.get_by_test_id("notice")).to_have_attribute("data-trouble", trouble)
    relay.silent = False
    wait_for_frames(page, 100)
    expect(page.get_by_test_id("notice")).to_be_hidden()


def test_a_stream_described_anew_takes_on_its_new_channels(page: Page, plot: Locator, relay: RelayStub) -> None:
    channels = [{**channel, "name": f"new_{channel['name']}", "unit": "V"} for channel in CHANNELS]
    relay.say({"type": "meta", "stream": STREAM, "meta": {**META, "revision": 2, "channels": channels}})
    expect(page.get_by_test_id("panel").first).to_contain_text("new_lead_i")
    wait_for_frames(page, 100)
    expect(page.locator(".unit").first).to_have_text("V")


def test_an_unreachable_relay_is_said(page: Page, page_url: str) -> None:
    # The page itself is served, and nothing else.
    page.route("**/api/v1/**", lambda route: route.abort())
    page.route_web_socket("**/api/v1/live", lambda socket: socket.close())
    page.goto(page_url)
    notice = page.get_by_test_id("notice")
    expect(notice).to_contain_text("Relay unreachable")
    expect(page.get_by_test_id("link-state")).to_contain_text("retry in")


def test_an_unknown_stream_is_said_and_another_may_be_chosen(page: Page, page_url: str) -> None:
    page.goto(f"{page_url}#stream=demo/nothing")
    expect(page.get_by_test_id("notice")).to_have_attribute("data-trouble", "unknown")
    page.get_by_test_id("stream").select_option(STREAM)
    wait_for_frames(page, 100)
    expect(page.get_by_test_id("notice")).to_be_hidden()
    assert "stream=demo/ecg" in page.url


def test_the_span_is_chosen_and_remembered_in_the_address(page: Page, plot: Locator) -> None:
    page.get_by_test_id("span-2").click()
    page.wait_for_function(
        """() => {
          const { fromMs, toMs } = document.querySelector('[data-testid=plot]').dataset;
          return Math.abs(toMs - fromMs - 2000) < 1;
        }"""
    )
    page.reload()
    expect(page.get_by_test_id("span-2")).to_have_attribute("aria-pressed", "true")
    wait_for_frames(page, 100)


def test_is_dark_or_light_by_the_system_or_by_choice(page: Page, page_url: str) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(page_url)
    html = page.locator("html")
    expect(html).to_have_attribute("data-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(html).to_have_attribute("data-theme", "dark")
    page.get_by_test_id("theme").click()
    expect(html).to_have_attribute("data-theme", "light")
    page.reload()
    expect(html).to_have_attribute("data-theme", "light")


def test_works_below_a_sub_path(page: Page) -> None:
    relay = RelayStub(prefix="/lab/scope")
    relay.start()
    try:
        page.goto(relay.url)
        wait_for_frames(page, 100)
    finally:
        relay.stop()


@pytest.mark.parametrize(
    "viewport", [{"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}]
)
def test_fits_a_phone_and_reads_by_touch(page: Page, plot: Locator, relay: RelayStub) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(page.get_by_test_id("value").first).to_be_in_viewport()
    page.get_by_test_id("pause").tap()
    expect(plot).to_have_attribute("data-paused", "true")
    box = page.get_by_test_id("plot-area").bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + 0.97 * box["width"], box["y"] + 100)
    readout = page.get_by_test_id("readout")
    expect(readout).to_have_attribute("data-index", ANY_NUMBER)
    index = int(readout.get_attribute("data-index") or "")
    assert shown_values(page) == pytest.approx(relay.physical(index), abs=0.0006)
