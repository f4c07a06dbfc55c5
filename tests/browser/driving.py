"""What a person does with the page."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

PATIENCE_MS = 20_000


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
