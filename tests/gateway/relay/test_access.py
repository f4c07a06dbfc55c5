"""A relay that asks for tokens, speaks TLS, and lets no page of elsewhere in."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.config import RelayConfig, load_mapping
from gateway.errors import ConfigError
from gateway.relay.auth import make_token
from gateway.relay.client import Client
from gateway.relay.service import RelayService
from gateway.relay.websocket import Close
from tests.gateway.relay.conftest import Relay, Viewer
from tests.support.certificates import make_certificate
from tests.support.ports import free_port

SECRET = b"0123456789abcdef0123456789abcdef"


def token(*streams: str, admin: bool = False, lifetime_s: float = 60) -> str:
    return make_token(SECRET, streams or ("bbb1/*",), lifetime_s, subject="", admin=admin)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@asynccontextmanager
async def relay_with(tmp_path: Path, **settings: Any) -> AsyncIterator[Relay]:
    """A relay without a broker that asks for tokens."""
    port = free_port()
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    content = {
        "relay": {"listen": f"127.0.0.1:{port}", "handshake": "300ms", **settings},
        "auth": {"secret_file": str(secret)},
        "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
    }
    async with (
        RelayService(load_mapping(RelayConfig, content, "test")) as service,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        service._core.catalogue.stream("bbb1", "ecg")
        service._core.catalogue.stream("bbb2", "ecg")
        yield Relay(service, session, port)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Relay]:
    async with relay_with(tmp_path) as relay:
        yield relay


async def status(relay: Relay, path: str, **headers: str) -> int:
    async with relay.session.get(relay.url + path, headers=headers) as response:
        return response.status


CLOSED = [
    "/api/v1/streams",
    "/api/v1/streams/bbb1/ecg/live",
    "/api/v1/events",
    "/api/v1/subscribers",
    "/metrics",
]


@pytest.mark.parametrize("path", CLOSED)
async def test_without_a_token_or_with_a_wrong_one_nothing_is_told(guarded: Relay, path: str) -> None:
    wrong = make_token(b"x" * 32, ["*/*"], 60, subject="", admin=True)
    for headers in ({}, bearer("nonsense"), bearer(wrong), {"Cookie": f"headwater={wrong}"}):
        async with guarded.session.get(guarded.url + path, headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_health_and_the_page_s_login_need_none(guarded: Relay) -> None:
    assert await status(guarded, "/healthz") == 200
    assert await guarded.get("/api/v1/session") == {"required": True, "authorized": False, "streams": []}


async def test_a_token_opens_its_streams_and_no_others(guarded: Relay) -> None:
    mine = bearer(token("bbb1/*"))
    async with guarded.session.get(guarded.url + "/api/v1/streams", headers=mine) as response:
        assert [entry["stream"] for entry in (await response.json())["streams"]] == ["bbb1/ecg"]
    assert await status(guarded, "/api/v1/streams/bbb1/ecg/live", **mine) == 200
    assert await status(guarded, "/api/v1/streams/bbb2/ecg/live", **mine) == 403
    assert await status(guarded, "/api/v1/streams/bbb2/nothing/live", **mine) == 403, "not even whether it exists"


async def test_the_relay_s_figures_are_for_administrators(guarded: Relay) -> None:
    for path in ("/metrics", "/api/v1/subscribers"):
        assert await status(guarded, path, **bearer(token())) == 403
        assert await status(guarded, path, **bearer(token(admin=True))) == 200


async def test_a_websocket_may_bring_its_token_in_the_header(guarded: Relay) -> None:
    socket = await guarded.session.ws_connect(f"{guarded.url}/api/v1/live", headers=bearer(token()))
    viewer = Viewer(socket)
    assert "auth" not in await viewer.told("hello")
    assert (await viewer.subscribe("bbb1/ecg"))["stream"] == "bbb1/ecg"
    await viewer.say(type="subscribe", stream="bbb2/ecg")
    assert (await viewer.told("error"))["code"] == "unauthorized"


async def test_a_websocket_may_bring_its_token_in_its_first_message(guarded: Relay) -> None:
    viewer = await guarded.watch()
    assert (await viewer.told("hello"))["auth"] == "required"
    await viewer.say(type="subscribe", stream="bbb1/ecg")
    assert (await viewer.told("error"))["code"] == "unauthorized"
    await viewer.say(type="auth", token=token())
    assert await viewer.told("authorized") == {"type": "authorized"}
    assert (await viewer.subscribe("bbb1/ecg"))["stream"] == "bbb1/ecg"


async def closed(viewer: Viewer) -> int | None:
    async with asyncio.timeout(20):
        while (await viewer.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    return viewer.socket.close_code


async def test_a_websocket_with_a_wrong_token_or_none_is_closed(guarded: Relay) -> None:
    for wrong in ("nonsense", "\ud800", token(lifetime_s=-60)):
        viewer = await guarded.watch()
        await viewer.say(type="auth", token=wrong)
        assert await closed(viewer) == Close.UNAUTHORIZED
    assert await closed(await guarded.watch()) == Close.UNAUTHORIZED
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await guarded.session.ws_connect(f"{guarded.url}/api/v1/live", headers=bearer("nonsense"))
    assert caught.value.status == 401


async def test_the_cookie_of_the_page_opens_what_its_token_opens(guarded: Relay) -> None:
    async with guarded.session.post(guarded.url + "/api/v1/session", headers=bearer(token())) as response:
        cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert (await guarded.get("/api/v1/session"))["streams"] == ["bbb1/*"]
    viewer = await guarded.watch("?stream=bbb1/ecg")
    assert (await viewer.told("subscribed"))["stream"] == "bbb1/ecg"
    async with guarded.session.delete(guarded.url + "/api/v1/session"):
        pass
    assert await status(guarded, "/api/v1/streams") == 401


async def test_a_wrong_token_makes_no_cookie(guarded: Relay) -> None:
    for headers in ({}, bearer("nonsense")):
        async with guarded.session.post(guarded.url + "/api/v1/session", headers=headers) as response:
            assert response.status == 401
            assert "Set-Cookie" not in response.headers


async def test_who_s_token_expires_is_sent_away(guarded: Relay) -> None:
    socket = await guarded.session.ws_connect(f"{guarded.url}/api/v1/live", headers=bearer(token()))
    viewer = Viewer(socket)
    await viewer.told("broker")
    (client,) = guarded.service._core.clients
    assert isinstance(client, Client)
    assert client.grant is not None
    client.grant = type(client.grant)(client.grant.streams, expires=1.0)
    client.look_after(0)
    assert await closed(viewer) == Close.UNAUTHORIZED


async def test_pages_of_elsewhere_are_refused_and_named_ones_are_not(tmp_path: Path) -> None:
    async with relay_with(tmp_path, origins=["https://scope.example"]) as relay:
        evil, good = {"Origin": "http://evil.example"}, {"Origin": "https://scope.example"}
        own = {"Origin": relay.url}
        mine = bearer(token())
        assert await status(relay, "/api/v1/streams", **evil, **mine) == 403
        assert await status(relay, "/api/v1/streams", **own, **mine) == 200
        async with relay.session.get(relay.url + "/api/v1/streams", headers={**good, **mine}) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "https://scope.example"
        asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        for origin, answered in ((evil, 403), (own, 401), (good, 204)):
            async with relay.session.options(
                relay.url + "/api/v1/streams", headers={**origin, **asks}
            ) as response:
                assert response.status == answered
                assert ("Access-Control-Allow-Headers" in response.headers) is (answered == 204)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await relay.session.ws_connect(f"{relay.url}/api/v1/live", headers=evil)
        assert caught.value.status == 403


async def test_a_name_that_was_made_to_point_here_is_refused(relay: Relay) -> None:
    """DNS rebinding: the page's origin and its Host are the same, and neither is ours."""
    rebound = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
    assert await status(relay, "/api/v1/streams", **rebound) == 403
    assert await status(relay, "/api/v1/streams", Host="localhost:1") == 200


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself."""
    return make_certificate(tmp_path, "first")


async def common_name(port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    presented = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    subject = x509.load_der_x509_certificate(presented).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


async def test_over_tls_everything_works_and_the_certificate_is_read_anew(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    async with relay_with(tmp_path, cert=str(cert), key=str(key)) as relay:
        port = int(relay.url.rpartition(":")[2])
        relay.url = f"https://127.0.0.1:{port}"
        relay.session.connector._ssl = False  # type: ignore[union-attr]
        socket = await relay.session.ws_connect(f"{relay.url}/api/v1/live", headers=bearer(token()))
        viewer = Viewer(socket)
        assert (await viewer.subscribe("bbb1/ecg"))["stream"] == "bbb1/ecg"
        assert await common_name(port) == "first"
        make_certificate(tmp_path, "second")
        relay.service.reload()
        assert await common_name(port) == "second"
        key.write_text("nonsense")
        relay.service.reload()
        assert await common_name(port) == "second", "what cannot be used changes nothing"
        await viewer.say(type="ping")
        assert await viewer.told("pong")


def test_elsewhere_than_loopback_somebody_must_log_in_or_it_must_be_said(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    listen = {"listen": "0.0.0.0:8080"}
    with pytest.raises(ConfigError, match=r"relay\.listen: must be on a loopback address .*insecure = true"):
        load_mapping(RelayConfig, {"relay": listen}, "test")
    assert load_mapping(RelayConfig, {"relay": {**listen, "insecure": True}}, "test")
    assert load_mapping(RelayConfig, {"relay": listen, "auth": {"secret_file": str(secret)}}, "test")


async def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_text("nonsense")
    with pytest.raises(ConfigError, match=r"relay\.cert, relay\.key"):
        RelayService(load_mapping(RelayConfig, {"relay": {"cert": str(path), "key": str(path)}}, "test"))
    with pytest.raises(ConfigError, match="belong together"):
        load_mapping(RelayConfig, {"relay": {"cert": str(path)}}, "test")


HOSTILE = [
    b"Authorization: Bearer \xff",
    b"Authorization: Bearer " + b"a" * 10_000,
    b"Authorization: Bearer a.b.c",
    b"Cookie: headwater=\xff\xfe",
    b'Cookie: headwater="\\777"; =; ;;',
    b"Origin: http://[",
    b"Origin: \xff",
]


async def answer_to(relay: Relay, path: str, *headers: bytes) -> int:
    """The status that a request with just these headers gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(relay.url.rpartition(":")[2]))
    writer.write(b"\r\n".join([f"GET {path} HTTP/1.1".encode(), *headers, b"", b""]))
    async with asyncio.timeout(20):
        line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@pytest.mark.parametrize("header", HOSTILE)
async def test_headers_of_any_bytes_are_refused(guarded: Relay, header: bytes) -> None:
    assert await answer_to(guarded, "/api/v1/streams", b"Host: 127.0.0.1", header) in (400, 401, 403)


@pytest.mark.parametrize("host", [b"[", b"\xff", b"", b"a b", b"[::1"])
async def test_a_host_of_any_bytes_is_refused(relay: Relay, host: bytes) -> None:
    assert await answer_to(relay, "/api/v1/streams", b"Host: " + host) in (400, 403)


async def test_a_token_that_is_no_longer_good_bars_nobody_from_the_page_and_the_login(
    guarded: Relay,
) -> None:
    stale = {"Cookie": f"headwater={token(lifetime_s=-60)}"}
    for path in ("/", "/healthz", "/api/v1/session"):
        assert await status(guarded, path, **stale) == await status(guarded, path) != 401
    assert await status(guarded, "/api/v1/streams", **stale) == 401
    async with guarded.session.delete(guarded.url + "/api/v1/session", headers=stale) as response:
        assert response.status == 200
