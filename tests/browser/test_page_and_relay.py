"""The page against a real relay on a real broker: a full screen, resuming, the envelope, and looking back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, expect

from tests.browser.chain import Chain, Device, Wave, sine
from tests.browser.driving import (
    ANY_NUMBER,
    count_of,
    covered,
    hover,
    marks,
    number,
    open_page,
    pause,
    shown_values,
    trace_pixels,
    wait_for_frames,
    wait_for_index,
)
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SLOW, FAST = 500, 25_000
SPIKE, SPIKE_EVERY = 30_000, 8 * FAST


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A broker and a relay for all the tests."""
    with Chain(tmp_path_factory.mktemp("chain")) as chain:
        yield chain


@pytest.fixture
def chain(running: Chain) -> Iterator[Chain]:
    """The same, with devices for one test."""
    yield running
    running.stop_devices()


def spiky(first: int, count: int) -> NDArray[np.int16]:
    """A sine with one high sample every 8 s of 25 kHz."""
    values = sine(first, count)
    values[-first % SPIKE_EVERY :: SPIKE_EVERY] = SPIKE
    return values


def sent(chain: Chain, rate: int, seconds: int, wave: Wave = sine) -> Device:
    """A device that has sent for so long, and does not go on."""
    device = chain.device(rate=rate, seconds_ago=seconds, wave=wave)
    device.send(seconds * rate, rate // 10)
    return device


def running_at(chain: Chain, rate: int, seconds: int) -> Device:
    """A device that has sent for so long, and goes on."""
    device = sent(chain, rate, seconds)
    device.run(rate // 10)
    return device


def is_full(plot: Locator) -> bool:
    """Whether the trace reaches to the left edge."""
    return number(plot, "data-held-from-ms") <= number(plot, "data-from-ms")


def all_came(page: Page, plot: Locator, device: Device) -> int:
    """The device stops, and each index from some first one on came, once; that one."""
    device.stop()
    wait_until(lambda: [end for _, end in covered(plot)] == [device.end], "every index, without a hole")
    first = covered(plot)[0][0]
    wait_until(lambda: number(plot, "data-received") == device.end - first, "every frame once")
    assert (count_of(page, "lost"), count_of(page, "missed")) == (0, 0)
    assert marks(plot) == []
    return first


@pytest.mark.parametrize("rate", [SLOW, FAST])
def test_a_fresh_page_starts_with_a_full_screen(page: Page, chain: Chain, rate: int) -> None:
    device = running_at(chain, rate, 20)
    plot = open_page(page, chain.page(device))
    wait_until(lambda: is_full(plot), "a full screen", 5)
    pause(page)
    panel = page.get_by_test_id("panel").first
    for part in range(10):
        assert trace_pixels(panel, part / 10, (part + 1) / 10) > 20
    page.keyboard.press("Space")
    all_came(page, plot, device)


@pytest.mark.parametrize("rate", [SLOW, FAST])
def test_nothing_is_missing_or_there_twice_after_the_relay_was_killed(page: Page, chain: Chain, rate: int) -> None:
    device = running_at(chain, rate, 12)
    plot = open_page(page, chain.page(device))
    wait_for_index(page, 12 * rate)
    first = covered(plot)[0][0]
    chain.relay.kill()
    expect(page.get_by_test_id("link-state")).to_have_attribute("data-health", "bad")
    index = number(plot, "data-newest-index")
    chain.start_relay()
    wait_for_index(page, index + rate)
    if rate == SLOW:
        expect(plot).to_have_attribute("data-recovered", "true")
    # the relay asks the device for what it had not written yet
    wait_until(lambda: len(covered(plot)) == 1, "the last hole to be filled")
    assert all_came(page, plot, device) == first


def test_what_the_relay_no_longer_has_is_shown_as_missing(page: Page, chain: Chain) -> None:
    device = running_at(chain, SLOW, 2)
    plot = open_page(page, chain.page(device))
    wait_for_index(page, 3 * SLOW)
    chain.relay.kill()
    expect(page.get_by_test_id("link-state")).to_have_attribute("data-health", "bad")
    device.stop()
    device.skip(SLOW)
    chain.forget_history()
    chain.start_relay()
    device.send(100, 50)
    wait_for_index(page, device.end - 1)
    expect(plot).to_have_attribute("data-recovered", "false")
    (gap,) = marks(plot)
    assert gap["count"] >= SLOW
    wait_until(lambda: count_of(page, "missed") + count_of(page, "lost") == gap["count"], "the account")


def test_one_sample_is_seen_in_ten_seconds_of_25_khz(page: Page, chain: Chain) -> None:
    device = sent(chain, FAST, 20, spiky)
    plot = open_page(page, chain.page(device))
    wait_until(lambda: is_full(plot), "a full screen")
    assert number(plot, "data-bucket") > 100
    pause(page)
    spike_ms = device.utc_ns(2 * SPIKE_EVERY) / 1e6
    from_ms, to_ms = number(plot, "data-from-ms"), number(plot, "data-to-ms")
    part = (spike_ms - from_ms) / (to_ms - from_ms)
    panel = page.get_by_test_id("panel").first
    assert trace_pixels(panel, part - 0.01, part + 0.01, 0.5) > 5, "the upper half of the panel has the spike"
    assert trace_pixels(panel, part + 0.01, 1, 0.5) == 0, "and nothing else"
    hover(page, part)
    expect(page.get_by_test_id("value")).to_contain_text(f"{SPIKE}")
    readout = page.get_by_test_id("readout")
    index, size = int(readout.get_attribute("data-index") or ""), int(number(plot, "data-bucket"))
    assert index <= 2 * SPIKE_EVERY < index + size
    least = int(spiky(index, size).min())
    expect(page.get_by_test_id("value")).to_have_text(f"{least} … {SPIKE}".replace("-", "\N{MINUS SIGN}"))
    expect(page.get_by_test_id("cursor-index")).to_contain_text("least … greatest of frames")


def test_in_an_envelope_too_what_is_lost_is_shown_named_and_counted(page: Page, chain: Chain) -> None:
    device = sent(chain, FAST, 10)
    device.lose(FAST // 2, "overrun")
    device.send(FAST, 2500)
    device.skip(3000)
    device.send(FAST, 2500)
    plot = open_page(page, chain.page(device))
    wait_for_index(page, device.end - 1)
    found = {(mark["kind"], mark["reason"], mark["index"], mark["count"]) for mark in marks(plot)}
    lost = 10 * FAST
    hole = lost + FAST // 2 + FAST
    assert found == {("lost", "overrun", lost, FAST // 2), ("missing", "", hole, 3000)}
    wait_until(lambda: (count_of(page, "lost"), count_of(page, "missed")) == (FAST // 2, 3000), "the account")
    device.send(FAST, 2500)
    wait_for_index(page, device.end - 1)
    assert (count_of(page, "lost"), count_of(page, "missed")) == (FAST // 2, 3000)


def test_takes_samples_where_they_fit_and_buckets_of_a_pixel_where_not(page: Page, chain: Chain) -> None:
    device = running_at(chain, FAST, 20)
    plot = open_page(page, chain.page(device))
    expect(plot).to_have_attribute("data-bucket", "256")
    page.get_by_test_id("span-2").click()
    expect(plot).to_have_attribute("data-bucket", "1")
    page.get_by_test_id("span-30").click()
    expect(plot).to_have_attribute("data-bucket", "768")
    page.set_viewport_size({"width": 700, "height": 600})
    expect(plot).not_to_have_attribute("data-bucket", "768")
    all_came(page, plot, device)


@pytest.mark.parametrize("rate", [SLOW, FAST])
def test_looks_back_to_the_beginning_of_the_history_and_no_further(page: Page, chain: Chain, rate: int) -> None:
    device = sent(chain, rate, 60)
    plot = open_page(page, chain.page(device))
    wait_until(lambda: is_full(plot), "a full screen")
    pause(page)
    for _ in range(4):
        page.keyboard.press("PageUp")
    page.wait_for_function("() => document.querySelector('[data-testid=when]').dataset.state === 'shown'")
    hover(page, 0.5)
    readout = page.get_by_test_id("readout")
    expect(readout).to_have_attribute("data-index", ANY_NUMBER)
    index, size = int(readout.get_attribute("data-index") or ""), int(number(plot, "data-bucket"))
    middle_ms = (number(plot, "data-from-ms") + number(plot, "data-to-ms")) / 2
    assert abs(index - device.index_at(round(middle_ms * 1e6))) <= 2 * size
    values = sine(index, size)
    if rate == SLOW:
        assert shown_values(page) == [values[0]]
    else:
        text = f"{values.min()} … {values.max()}".replace("-", "\N{MINUS SIGN}")
        expect(page.get_by_test_id("value")).to_have_text(text)

    for _ in range(12):
        page.keyboard.press("PageUp")
    expect(page.get_by_test_id("notice")).to_have_attribute("data-trouble", "beginning")
    expect(page.get_by_test_id("when")).to_have_attribute("data-at", "beginning")
    expect(page.get_by_test_id("back")).to_be_disabled()
    assert number(plot, "data-from-ms") == pytest.approx(device.start_ns / 1e6, abs=1)
    assert trace_pixels(page.get_by_test_id("panel").first, 0, 0.1) > 20
    assert marks(plot) == []
    page.get_by_test_id("forward-1min").click()
    expect(page.get_by_test_id("when")).to_have_attribute("data-at", "end")
    page.keyboard.press("Home")
    expect(page.get_by_test_id("when")).to_have_attribute("data-at", "beginning")
    page.keyboard.press("Space")
    expect(page.get_by_test_id("notice")).not_to_have_attribute("data-trouble", "beginning")
    wait_for_frames(page, 0)


def test_a_history_that_does_not_answer_is_said(page: Page, chain: Chain) -> None:
    device = running_at(chain, SLOW, 60)
    plot = open_page(page, chain.page(device))
    wait_until(lambda: is_full(plot), "a full screen")
    page.route("**/samples?**", lambda route: route.fulfill(status=503, body="busy"))
    pause(page)
    page.get_by_test_id("back-1min").click()
    expect(page.get_by_test_id("notice")).to_have_attribute("data-trouble", "history")
    expect(page.get_by_test_id("notice")).to_contain_text("busy")
