"""Pages of elsewhere, as a browser holds them to what the relay says."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from gateway.relay.auth import make_token
from tests.support.ports import free_port
from tests.support.processes import HeadwaterProcess

SECRET = b"0123456789abcdef0123456789abcdef"
ASK = """async ([url, token]) => {
  const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
  return [answer.status, await answer.json()];
}"""


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """A web server that is not the relay."""
    (tmp_path / "index.html").write_text("<title>elsewhere</title>")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_page_of_a_named_origin_asks_with_a_token(page: Page, origin: str, tmp_path: Path) -> None:
    port = free_port()
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    settings = (
        f"relay.listen=127.0.0.1:{port}",
        f'relay.origins=["{origin}"]',
        f"auth.secret_file={secret}",
        f"mqtt.url=mqtt://127.0.0.1:{free_port()}",
    )
    options = [option for setting in settings for option in ("--set", setting)]
    with HeadwaterProcess("relay", *options, state=tmp_path) as relay:
        relay.wait_for("listening on")
        page.goto(origin)
        token = make_token(SECRET, ("*/*",), 60, subject="", admin=False)
        answer = page.evaluate(ASK, [f"http://127.0.0.1:{port}/api/v1/streams", token])
    assert answer == [200, {"streams": []}]
