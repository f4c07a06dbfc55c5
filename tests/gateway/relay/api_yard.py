"""A relay in a process of its own with streams in it, and a client that reads no answer for ever."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from gateway.codec.cbor import CborCodec
from gateway.model import Gap
from gateway.relay.auth import make_token
from gateway.topics import Topics
from tests.gateway.relay.conftest import SUBSCRIPTIONS
from tests.support.messages import batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.ports import free_port
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import PATIENCE_S, wait_until

topics, codec = Topics(), CborCodec()
SECRET = b"0123456789abcdef0123456789abcdef"
STREAM = ("bbb1", "ecg")
ENDLESS = ("/live", "/events")
READ_S = 0.02
"""How long a body without an end is read, once its head is there."""


class Impatient(HTTPAdapter):
    """Reads no more than the beginning of an answer that has no end."""

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        response = super().send(request, **{**options, "stream": True, "timeout": PATIENCE_S})
        if response.status_code == 101:
            self.poolmanager.clear()  # what follows is no HTTP
        elif response.status_code == 200 and urlsplit(str(request.url)).path.endswith(ENDLESS):
            response._content, response._content_consumed = _beginning(response), True
            response.raw.close()
        return response


def _beginning(response: requests.Response) -> bytes:
    content, deadline = bytearray(), time.monotonic() + READ_S
    response.raw.connection.sock.settimeout(READ_S)
    with contextlib.suppress(TimeoutError, HTTPError):
        while time.monotonic() < deadline and (part := response.raw.read1()):
            content += part
    return bytes(content)


@dataclass(frozen=True, slots=True)
class Api:
    """Where it is, and who asks."""

    url: str
    session: requests.Session
    relay: HeadwaterProcess

    def stranger(self) -> requests.Session:
        """Somebody without a token."""
        return requests.Session()

    @property
    def document(self) -> dict[str, Any]:
        """What the relay says of itself."""
        answer = self.session.get(f"{self.url}/api/v1/openapi.json")
        assert answer.status_code == 200
        document: dict[str, Any] = answer.json()
        return document

    def complaints(self) -> list[str]:
        """What it logged of requests that it could not cope with."""
        return [line for line in self.relay.err.splitlines() if " ERROR " in line or "Traceback" in line]


@contextmanager
def api_in(folder: Path, settings: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[Api]:
    """A relay with a thousand frames, a gap and a hole among them, and a stream of which nothing came."""
    port = free_port()
    settings = {"relay.listen": f"127.0.0.1:{port}", **settings}
    with Mosquitto(folder) as broker, requests.Session() as session:
        words = [f"{name}={value}" for name, value in {"mqtt.url": broker.url, **settings}.items()]
        overrides = [word for setting in words for word in ("--set", setting)]
        with HeadwaterProcess("relay", *overrides, state=folder) as relay:
            wait_until(lambda: broker.log.count("Sending SUBACK") == SUBSCRIPTIONS, "its subscriptions")
            session.mount("http://", Impatient())
            session.headers.update(headers)
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
            found = Api(f"http://127.0.0.1:{port}", session, relay)
            _fill(broker, found)
            yield found
            assert relay.running, relay
            assert not found.complaints(), "\n".join(found.complaints())


def guarded(folder: Path) -> Mapping[str, str]:
    """Settings with which the relay asks for tokens."""
    secret = folder / "secret"
    secret.write_bytes(SECRET)
    return {"auth.secret_file": str(secret)}


def administrator() -> Mapping[str, str]:
    """Headers of one who may ask everything."""
    token = make_token(SECRET, ["*/*"], 600, subject="", admin=True)
    return {"Authorization": f"Bearer {token}"}


def _fill(broker: Mosquitto, found: Api) -> None:
    channels = [{"name": "lead_i", "unit": "mV", "scale": 0.5, "offset": -1.0}, {"name": "lead_ii", "unit": "mV"}]
    with Peer(broker.port) as device:
        device.publish(topics.status("bbb1"), b'{"online":true}', retain=True)
        for stream in ("ecg", "silent"):
            meta = {"v": 1, "rate": [500, 1], "channels": channels}
            device.publish(topics.meta("bbb1", stream), json.dumps(meta).encode(), retain=True)
        for index in range(0, 1000, 50):
            message = Gap(1, index, 50, "overrun") if index == 400 else batch(index, 50, columns=2)
            if index != 700:
                device.publish(topics.batch("bbb1", "ecg"), codec.encode(message))
        device.publish(topics.batch("bbb1", "ecg"), codec.encode(batch(0, 20, epoch=2, columns=2)))

    def filled() -> bool:
        listing = found.session.get(f"{found.url}/api/v1/streams").json()["streams"]
        return any(stream["epoch"] == 2 and stream["end"] == 20 for stream in listing) and len(listing) == 2

    wait_until(filled, "the streams")
