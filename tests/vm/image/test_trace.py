"""From a card to the trace: what somebody does who knows nothing of Linux, on a whole board in QEMU."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, chromium_path
from tests.browser.driving import shown_values, wait_for_frames
from tests.support.waiting import wait_until
from tests.vm.image import adc
from tests.vm.image.card import Card, tool
from tests.vm.image.cards import Made
from tests.vm.image.gateway_on_card import START_S
from tests.vm.image.qemu import CARD_SIZE, Board, copy_card

pytestmark = pytest.mark.timeout(3600)

SCALE, OFFSET = 0.5, -100.0
CONFIGURATION = f"""\
[device]
name = "kitchen"
board = "beaglebone"

[mqtt]
url = "mqtt://127.0.0.1:1883"

[[stream]]
name = "knob"
rate = 25
batch = "200ms"

[[stream.channel]]
name = "level"
input = "P9_39"
unit = "mV"
scale = {SCALE}
offset = {OFFSET}
"""


@pytest.fixture(scope="module")
def board(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A new card with a configuration on it, in a board without a network and with a clock that knows nothing."""
    folder = tmp_path_factory.mktemp("board")
    card = Card(copy_card(made.image, folder / "card.img", CARD_SIZE))
    text = CONFIGURATION.replace("\n", "\r\n")
    tool("mcopy", "-i", card.at_config, "-", "::device.toml", data=text.encode())
    adc.install_on_card(card)
    with Board(folder, card.path, boot=made.kernel, append=made.append, clock="1970-01-01") as board:
        yield board


@pytest.fixture(scope="module")
def link(board: Board) -> str:
    """The first one in the file that the board has put onto its card, by the way that leads there from here."""
    board.login.run("systemctl start headwater-image-broker", timeout=START_S)
    page = Card(board.folder / "card.img").boot_file("/headwater.html").decode()
    links = re.findall(r'href="(\S+)"', page)
    name = board.login.run("hostname")
    assert [link.partition("/#")[0] for link in links] == [f"http://{name}.local:8080", "http://192.168.7.2:8080"]
    return str(links[0]).replace(f"{name}.local:8080", f"127.0.0.1:{board.relay_port}")


@pytest.fixture
def page() -> Iterator[Page]:
    """A browser on the computer beside the board."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(START_S * 1000)
        yield page
        browser.close()


def test_the_link_on_the_card_shows_what_is_on_the_pin(board: Board, link: str, page: Page) -> None:
    wait_until(lambda: board.login.run("systemctl is-active headwater-relay || true") == "active", "it", START_S)
    page.goto(link)
    wait_for_frames(page, 25)
    for raw in (1234, 4000):
        adc.set_value(board.login, "P9_39", raw)
        wait_until(lambda n=raw: shown_values(page) == [n * SCALE + OFFSET], f"{raw} counts", 60)  # type: ignore[misc]
    expect(page.get_by_test_id("device-state")).to_have_attribute("data-health", "good")


def test_without_the_link_nobody_sees_anything(board: Board, link: str, page: Page) -> None:
    page.goto(link.partition("#")[0])
    expect(page.get_by_test_id("login")).to_be_visible()


def test_the_boards_certificates_were_made_although_it_did_not_know_the_time(board: Board, link: str) -> None:
    assert int(board.login.run("date +%Y")) >= 2026
    names = board.login.run("openssl x509 -noout -ext subjectAltName -in /etc/mosquitto/headwater/cert.pem")
    assert f"DNS:{board.login.run('hostname')}.local" in names
    assert board.login.run("stat -c '%a %U' /etc/headwater/pki /etc/headwater/secrets/tokens").splitlines() == [
        "700 root",
        "600 root",
    ]


def test_after_the_power_button_it_goes_on_where_its_clock_was(board: Board, link: str) -> None:
    board.login.run("date --set 2031-01-01; touch /var/lib/headwater/epoch")
    board.press_power_button()
    board.wait_until_off()
    assert b"#token=" in Card(board.folder / "card.img").boot_file("/headwater.html")
    board.switch_on()
    assert board.login.run("date +%Y-%m") == "2031-01"
