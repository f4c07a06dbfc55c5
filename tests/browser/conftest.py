"""Chromium for the page's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.driving import PATIENCE_MS

DIST = Path(__file__).parents[2] / "gateway/relay/web/dist"

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EXPECTED_NOISE = ("Failed to load resource", "WebSocket connection to")
"""What Chromium itself says of a relay that is not there."""


def chromium_path() -> str:
    """Where Chromium is. Raises RuntimeError if it is nowhere."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise RuntimeError("the page's tests need Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="module")  # while it lasts, no other event loop may run in this thread
def browser() -> Iterator[Browser]:
    """Chromium, as the distribution ships it."""
    if not (DIST / "index.html").exists():
        pytest.fail("the page is not built: python deploy/build_page.py")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def viewport() -> dict[str, Any]:
    """The browser's context; a test may ask for another."""
    return {"viewport": {"width": 1280, "height": 760}}


@pytest.fixture
def page(browser: Browser, viewport: dict[str, Any]) -> Iterator[Page]:
    """A blank tab that forbids errors on the console, and so violations of the Content-Security-Policy."""
    context = browser.new_context(**viewport)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None
    )
    yield page
    context.close()
    assert [error for error in errors if not error.startswith(EXPECTED_NOISE)] == []
