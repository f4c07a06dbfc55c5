"""The relay's HTTP server, from its start to its end."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from gateway import __version__
from gateway.errors import ListenError
from gateway.relay import application
from gateway.relay.service import RelayService
from tests.gateway.relay.conftest import Relay, config_for, relay_at
from tests.support.mosquitto import Mosquitto
from tests.support.ports import accepts, free_port


async def test_health_says_version_and_broker(relay: Relay) -> None:
    assert await relay.get("/healthz") == {
        "status": "ok",
        "version": __version__,
        "worker": 0,
        "broker": True,
        "undecodable": 0,
    }


async def test_without_a_stream_the_listing_is_empty(relay: Relay) -> None:
    assert await relay.get("/api/v1/streams") == {"streams": []}


@pytest.mark.parametrize("path", ["/api/v1/streams", "/healthz", "/", "/nothing/here"])
async def test_every_answer_restricts_what_a_page_may_do(relay: Relay, path: str) -> None:
    async with relay.session.get(relay.url + path) as response:
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"


async def test_what_is_not_there_is_not_found(relay: Relay) -> None:
    for path in ("/nothing", "/../service.py", "/%2e%2e/service.py", "/api/v1/nothing"):
        async with relay.session.get(relay.url + path) as response:
            assert response.status == 404, path


async def test_what_is_not_there_and_what_is_not_allowed_is_said_in_a_line(relay: Relay) -> None:
    async with relay.session.get(relay.url + "/api/v1/nothing%0A") as response:
        assert await response.text() == (
            "There is nothing at '/api/v1/nothing%0A'; /api/v1/openapi.json says what there is.\n"
        )
    async with relay.session.post(relay.url + "/api/v1/streams") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")
        assert await response.text() == "POST is not allowed there; allowed: GET, HEAD.\n"


@pytest.mark.parametrize(
    "target",
    [
        "/\xff",
        "/api/v1/streams/bbb1/\xff/samples",
        "/api/v1/events?\xff=\xff",
        "/api/v1/events?%ff=%0a",
        "*",
        "a:b",
    ],
)
async def test_an_address_of_any_bytes_is_refused(relay: Relay, target: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(relay.url.rpartition(":")[2]))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode("latin-1"))
    async with asyncio.timeout(20):
        status = await reader.readline()
        assert status.split()[1] in (b"400", b"404"), status
        assert b"Content-Type: text/plain" in await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_a_live_address_without_an_upgrade_is_a_bad_request(relay: Relay) -> None:
    async with relay.session.get(relay.url + "/api/v1/live") as response:
        assert response.status == 400


async def test_a_page_that_is_not_built_is_said_to_be_so(
    mosquitto: Mosquitto, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "PAGE", tmp_path_factory.mktemp("page") / "dist")
    async with relay_at(mosquitto) as relay, relay.session.get(relay.url) as response:
        assert response.status == 404
        assert "make page" in await response.text()


async def test_a_page_that_is_built_is_served(
    mosquitto: Mosquitto, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path_factory.mktemp("page")
    (page / "index.html").write_text("<title>Headwater</title>")
    (page / "app.js").write_text("1")
    monkeypatch.setattr(application, "PAGE", page)
    async with relay_at(mosquitto) as relay:
        async with relay.session.get(relay.url) as response:
            assert (response.status, await response.text()) == (200, "<title>Headwater</title>")
        async with relay.session.get(relay.url + "/app.js") as response:
            assert "javascript" in response.headers["Content-Type"]


async def test_a_port_that_is_taken_is_named_and_nothing_is_left_running(mosquitto: Mosquitto) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before = {thread.name for thread in threading.enumerate()}
        with pytest.raises(ListenError) as caught:
            async with RelayService(config_for(mosquitto, port)):
                pass
        assert str(caught.value) == f"relay.listen: cannot listen on 127.0.0.1:{port}: Address already in use"
        assert not {name for name in {thread.name for thread in threading.enumerate()} - before if "mqtt" in name}


async def test_after_the_end_the_port_is_free_and_nobody_is_connected_to_the_broker(mosquitto: Mosquitto) -> None:
    port = free_port()
    for _ in range(3):
        async with RelayService(config_for(mosquitto, port)):
            assert await asyncio.to_thread(accepts, port)
        assert not await asyncio.to_thread(accepts, port)
    assert not [thread for thread in threading.enumerate() if "headwater-relay" in thread.name]
