"""deploy/nginx/headwater.conf in a real nginx, in front of a real relay with a device that samples."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import cbor2
import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.ports import accepts, free_port
from tests.support.processes import ROOT, HeadwaterProcess, RunningProcess
from tests.support.waiting import PATIENCE_S, wait_until

SNIPPET = ROOT / "deploy" / "nginx" / "headwater.conf"
NAME = "scope.example"
DEVICE = """
[device]
name = "bbb1"
health = "1s"
[[stream]]
name = "ecg"
rate = 500
[[stream.channel]]
name = "lead_i"
input = "P9_39"
[[stream]]
name = "fast"
rate = 20000
[[stream.channel]]
name = "lead_i"
input = "P9_39"
"""
MAIN = """
daemon off;
master_process off;  # one process, which leaves no worker behind
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/headwater.conf;
}}
"""


class Site:
    """nginx, relay and device; requests go to nginx."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.url = f"https://{NAME}:{port}"
        self.certificate = folder / "cert.pem"

    @asynccontextmanager
    async def session(self, address: str = "127.0.0.1") -> AsyncIterator[aiohttp.ClientSession]:
        """A client at an address of this machine, for which the site's name is known."""
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        connector = aiohttp.TCPConnector(ssl=trusted, resolver=_Here(), local_addr=(address, 0), limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    def curl(self, *arguments: str) -> list[str]:
        """The command line for a request."""
        resolved = f"{NAME}:{self.port}:127.0.0.1"
        return ["curl", "-sS", "--resolve", resolved, "--cacert", str(self.certificate), *arguments]


class _Here(aiohttp.abc.AbstractResolver):
    """Every name is this machine's."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is open."""


def configure(folder: Path, relay_port: int, port: int) -> Path:
    """The snippet with this test's ports and certificate, and what a whole nginx.conf needs around it."""
    changes = {
        "127.0.0.1:8080": f"127.0.0.1:{relay_port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        f"/etc/ssl/certs/{NAME}.pem": f"{folder}/cert.pem",
        f"/etc/ssl/private/{NAME}.key": f"{folder}/key.pem",
    }
    text = SNIPPET.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "headwater.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    made = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(made, check=True, capture_output=True)
    return folder / "nginx.conf"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    port, relay_port = free_port(), free_port()
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert nginx
    (folder / "device.toml").write_text(DEVICE)
    (folder / "relay.toml").write_text(
        f'[relay]\nlisten = "127.0.0.1:{relay_port}"\norigins = ["https://{NAME}:{port}"]\nqueue = "64KiB"\n'
    )
    config = configure(folder, relay_port, port)
    with Mosquitto(folder) as broker:
        set_url = ("--set", f"mqtt.url={broker.url}")
        with (
            HeadwaterProcess("run", *set_url, str(folder / "device.toml"), state=folder),
            HeadwaterProcess("relay", *set_url, str(folder / "relay.toml"), state=folder) as relay,
            RunningProcess([nginx, "-e", "stderr", "-c", str(config)]) as proxy,
        ):
            wait_until(lambda: accepts(relay_port) or not relay.running, "the relay")
            wait_until(lambda: accepts(port) or not proxy.running, "nginx")
            assert proxy.running, proxy
            assert relay.running, relay
            yield Site(folder, port)


async def test_a_websocket_streams(site: Site) -> None:
    async with site.session() as session:
        headers = {"Origin": site.url}  # as the page's own
        async with session.ws_connect(f"{site.url}/api/v1/live?stream=bbb1/ecg", headers=headers) as live:
            indices: list[int] = []
            while len(indices) < 10:
                message = await live.receive(PATIENCE_S)
                if message.type is aiohttp.WSMsgType.BINARY:
                    indices.append(cbor2.loads(message.data)["i"])
    assert indices == list(range(indices[0], indices[0] + 500, 50)), "every batch of 0.1 s, in order"


async def test_a_page_of_another_origin_is_refused_as_without_a_proxy(site: Site) -> None:
    async with site.session() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await session.ws_connect(f"{site.url}/api/v1/live", headers={"Origin": "https://evil.example"})


async def test_a_name_that_the_relay_was_not_told_of_is_refused(site: Site) -> None:
    async with (
        site.session() as session,
        session.get(f"{site.url}/api/v1/streams", headers={"Host": "evil.example"}) as response,
    ):
        assert response.status == 403
        assert "relay.origins" in await response.text()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_reads_lines_as_they_come(site: Site, version: str) -> None:
    with RunningProcess(
        site.curl("-N", version, f"{site.url}/api/v1/streams/bbb1/ecg/live?format=ndjson")
    ) as reading:
        wait_until(lambda: reading.out.count("\n") >= 100 or not reading.running, "a hundred frames")
        assert reading.running, reading
        frames = [json.loads(line) for line in reading.out.splitlines()[:100]]
    indices = [frame["index"] for frame in frames if "index" in frame]
    assert indices == list(range(indices[0], indices[0] + len(indices)))


async def test_events_come_at_once(site: Site) -> None:
    async with site.session() as session, session.get(f"{site.url}/api/v1/events") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        async with asyncio.timeout(PATIENCE_S):
            while not (await response.content.readline()).startswith(b"event: health"):
                pass


async def test_the_page_comes_and_says_that_it_wants_tls(site: Site) -> None:
    async with site.session() as session, session.get(site.url) as response:
        assert response.status == 200
        assert "<html" in await response.text()
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]


async def test_the_session_cookie_is_sent_over_tls_only(site: Site) -> None:
    async with site.session() as session:
        headers = {"Authorization": "Bearer any"}
        async with session.delete(f"{site.url}/api/v1/session", headers=headers) as response:
            assert "secure" in response.headers["Set-Cookie"].lower()


async def test_clients_are_counted_at_nginx_each_address_for_itself(site: Site) -> None:
    live = f"{site.url}/api/v1/live"
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(site.session("127.0.0.2"))
        for _ in range(50):
            await stack.enter_async_context(session.ws_connect(live))
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await session.ws_connect(live)
        other = await stack.enter_async_context(site.session("127.0.0.3"))
        await stack.enter_async_context(other.ws_connect(live))


async def test_the_figures_are_for_this_machine_alone(site: Site) -> None:
    async with site.session("127.0.0.2") as session, session.get(f"{site.url}/metrics") as response:
        assert response.status == 403
    async with site.session() as session, session.get(f"{site.url}/metrics") as response:
        assert response.status == 200


async def test_a_client_that_stalls_is_told_by_the_relay_what_it_lost(site: Site) -> None:
    """nginx keeps nothing back, so it is the relay where the client is too slow."""
    async with site.session() as session:
        async with session.get(f"{site.url}/api/v1/streams/bbb1/fast/live?format=csv") as response:
            transport = response.connection and response.connection.transport
            assert transport is not None
            transport.pause_reading()
            async with asyncio.timeout(3 * PATIENCE_S):
                while not await _lost(session, site, "bbb1/fast"):
                    await asyncio.sleep(0.2)
            transport.resume_reading()
            async with asyncio.timeout(PATIENCE_S):
                while not (line := await response.content.readline()).startswith(b"# gap"):
                    assert line
        assert line.rstrip().endswith(b": slow")


async def _lost(session: aiohttp.ClientSession, site: Site, stream: str) -> int:
    """How many frames the relay has taken from the stream's reader."""
    async with session.get(f"{site.url}/api/v1/subscribers") as response:
        readers = (await response.json())["subscribers"]
    return sum(reader["lost_frames"] for reader in readers if reader["stream"] == stream)
