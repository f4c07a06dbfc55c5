"""The page of a relay that asks for tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from gateway.relay.auth import make_token
from tests.browser.chain import Chain, Device
from tests.browser.driving import PATIENCE_MS, wait_for_frames

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SECRET = b"0123456789abcdef0123456789abcdef"
RATE = 500


def token(pattern: str = "*/*", lifetime_s: float = 600) -> str:
    """One that is good."""
    return make_token(SECRET, (pattern,), lifetime_s, subject="", admin=False)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A relay that asks."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "secret").write_bytes(SECRET)
    with Chain(folder, f"auth.secret_file={folder / 'secret'}") as chain:
        yield chain


@pytest.fixture(scope="module")
def device(chain: Chain) -> Device:
    """One that goes on."""
    device = chain.device(rate=RATE)
    device.run(RATE // 10)
    return device


def sign_in(page: Page, token: str) -> None:
    """As a person does."""
    page.get_by_test_id("token").fill("")
    page.keyboard.type(token)
    page.keyboard.press("Enter")


def test_the_page_asks_and_shows_the_traces_to_who_has_a_token(page: Page, chain: Chain, device: Device) -> None:
    page.goto(chain.page(device))
    expect(page.get_by_test_id("token")).to_be_focused()
    expect(page.get_by_test_id("link-state")).to_contain_text("asks for a token")
    sign_in(page, token())
    wait_for_frames(page, RATE)
    expect(page.get_by_test_id("login")).to_be_hidden()
    page.reload()
    wait_for_frames(page, RATE)
    expect(page.get_by_test_id("login")).to_be_hidden()


def test_a_token_that_is_not_good_is_refused_and_may_be_tried_anew(
    page: Page, chain: Chain, device: Device
) -> None:
    page.goto(chain.page(device))
    sign_in(page, "non sense")
    expect(page.get_by_test_id("pause")).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_test_id("login-problem")).to_contain_text("the token is not valid")
    sign_in(page, token(lifetime_s=-60))
    expect(page.get_by_test_id("login-problem")).to_contain_text("the token has expired")
    sign_in(page, token())
    wait_for_frames(page, RATE)


def test_a_link_brings_its_token_and_leaves_nothing_of_it_in_the_address(
    page: Page, chain: Chain, device: Device
) -> None:
    link = f"{chain.page(device)}&token={token()}"
    page.goto(link)
    wait_for_frames(page, RATE)
    expect(page.get_by_test_id("login")).to_be_hidden()
    assert "token" not in page.url
    assert f"stream={device.name}/" in page.url
    assert "token" not in page.evaluate("document.cookie + JSON.stringify(localStorage)")


def test_who_signs_out_sees_nothing_any_more(page: Page, chain: Chain, device: Device) -> None:
    page.goto(f"{chain.page(device)}&token={token()}")
    wait_for_frames(page, RATE)
    page.get_by_test_id("sign-out").click()
    expect(page.get_by_test_id("login")).to_be_visible()
    expect(page.get_by_test_id("sign-out")).to_be_hidden()
    expect(page.get_by_test_id("panel")).to_have_count(0)
    page.reload()
    expect(page.get_by_test_id("login")).to_be_visible()


def test_a_token_that_ends_is_asked_for_again_and_the_traces_go_on(
    page: Page, chain: Chain, device: Device
) -> None:
    page.goto(f"{chain.page(device)}&token={token(lifetime_s=4)}")
    wait_for_frames(page, RATE // 2)
    expect(page.get_by_test_id("login")).to_be_visible(timeout=PATIENCE_MS)
    sign_in(page, token())
    wait_for_frames(page, RATE)
    expect(page.get_by_test_id("lost")).to_have_attribute("data-count", "0")


def test_a_stream_that_the_token_does_not_allow_is_said_to_be_so(page: Page, chain: Chain, device: Device) -> None:
    page.goto(f"{chain.page(device)}&token={token('other/*')}")
    notice = page.get_by_test_id("notice")
    expect(notice).to_have_attribute("data-trouble", "forbidden")
    expect(notice).to_contain_text(f"does not allow {device.name}/")


def test_a_relay_that_asks_nobody_offers_no_signing_out(
    page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Chain(tmp_path_factory.mktemp("open")) as chain:
        device = chain.device(rate=RATE)
        device.run(RATE // 10)
        page.goto(chain.page(device))
        wait_for_frames(page, RATE)
        expect(page.get_by_test_id("sign-out")).to_be_hidden()
        expect(page.get_by_test_id("login")).to_be_hidden()
