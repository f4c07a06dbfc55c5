"""`python -m tests.browser.screenshots`: the pictures of the page in docs/images, from a real demo."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, chromium_path
from tests.browser.driving import hover, wait_for_frames
from tests.support.ports import free_port
from tests.support.processes import HeadwaterProcess

IMAGES = Path("docs/images")
PICTURES = (("dark", 1280, 760, "dark"), ("light", 1280, 760, "light"), ("phone", 390, 844, "dark"))


def main() -> None:
    """Take each picture when its window is full."""
    port = free_port()
    arguments = ("demo", "--port", str(port), "--mqtt-port", str(free_port()))
    with tempfile.TemporaryDirectory() as folder, HeadwaterProcess(*arguments, state=Path(folder)) as demo:
        demo.wait_for("Ctrl-C")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
            for name, width, height, scheme in PICTURES:
                page = browser.new_page(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if scheme == "dark" else "light",
                )
                page.goto(f"http://127.0.0.1:{port}/")
                wait_for_frames(page, 5500)
                hover(page, 0.8)
                page.screenshot(path=IMAGES / f"page-{name}.png")
                page.close()
            browser.close()


if __name__ == "__main__":
    main()
