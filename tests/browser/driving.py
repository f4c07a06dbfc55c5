"""What a person does with the page."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

PATIENCE_MS = 20_000
ANY_NUMBER = re.compile(r"\d+")

TRACE_PIXELS = """
(panel, [from, to, bottom]) => {
  const canvas = panel.querySelector("canvas");
  const area = document.querySelector("[data-testid=plot-area]").getBoundingClientRect();
  const box = canvas.getBoundingClientRect();
  const ratio = canvas.width / box.width;
  const left = Math.ceil((area.left - box.left + from * area.width) * ratio) + 2;
  const right = Math.floor((area.left - box.left + to * area.width) * ratio) - 2;
  const colour = getComputedStyle(panel.querySelector(".swatch")).color.match(/\\d+/g).map(Number);
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(left, 0, right - left, Math.floor(canvas.height * bottom));
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (colour.every((part, k) => Math.abs(data[i + k] - part) < 24)) count++;
  }
  return count;
}
"""


def trace_pixels(panel: Locator, first: float, last: float, bottom: float = 1) -> int:
    """How many pixels of the panel have the trace's colour, between two parts of the plotting area's width.

    `bottom`: only so much of the panel's height is looked at, from the top.
    """
    count: int = panel.evaluate(TRACE_PIXELS, [first, last, bottom])
    return count


def open_page(page: Page, url: str) -> Locator:
    """Open the page and wait for its first trace; its plot."""
    page.goto(url)
    wait_for_index(page, 0)
    return page.get_by_test_id("plot")


def wait_for_frames(page: Page, more: int) -> None:
    """Wait until so many more frames reached the page, drawn or not."""
    have = page.evaluate("+(document.querySelector('[data-testid=plot]').dataset.received ?? 0)")
    page.wait_for_function(
        "least => +document.querySelector('[data-testid=plot]').dataset.received >= least", arg=have + more
    )


def wait_for_index(page: Page, least: float) -> None:
    """Wait until the traces show a frame this new."""
    page.wait_for_function(
        "least => +document.querySelector('[data-testid=plot]').dataset.newestIndex >= least", arg=least
    )


def pause(page: Page) -> None:
    """Pause by the button."""
    page.get_by_test_id("pause").click()
    expect(page.get_by_test_id("plot")).to_have_attribute("data-paused", "true")


def hover(page: Page, part: float) -> None:
    """Point at a part of the plotting area's width."""
    box = page.get_by_test_id("plot-area").bounding_box()
    assert box
    page.mouse.move(box["x"] + part * box["width"], box["y"] + 60)


def shown_values(page: Page) -> list[float]:
    """The numbers beside the traces."""
    texts = page.get_by_test_id("value").all_text_contents()
    return [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts]


def number(plot: Locator, name: str) -> float:
    """A number that the plot says of itself."""
    return float(plot.get_attribute(name) or "nan")


def covered(plot: Locator) -> list[list[int]]:
    """The newest ranges of indices that came or were declared lost."""
    ranges: list[list[int]] = json.loads(plot.get_attribute("data-covered") or "[]")
    return ranges


def marks(plot: Locator) -> list[dict[str, Any]]:
    """What is marked beside the trace."""
    found: list[dict[str, Any]] = json.loads(plot.get_attribute("data-marks") or "[]")
    return found


def count_of(page: Page, figure: str) -> int:
    """A figure of the account: `lost` or `missed`."""
    return int(page.get_by_test_id(figure).get_attribute("data-count") or "")
