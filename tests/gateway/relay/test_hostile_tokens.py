"""Tokens that are none, no longer, not yet, or not for this: refused at every door, and not logged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.bench.greetings import FLAVOURS
from tests.gateway.relay.siege import Besieged, besieged, command, rest_of
from tests.support.ports import free_port
from tests.support.wires import frames_in

PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SECRET = b"0123456789abcdef0123456789abcdef"
NOW = int(time.time())
GOOD: dict[str, Any] = {"sub": "me", "iat": NOW, "exp": NOW + 3600, "streams": ["bbb1/*"], "admin": True}


def signed(key: Any = SECRET, algorithm: str = "HS256", /, **changes: Any) -> str:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return jwt.encode(claims, key, algorithm)


def handmade(head: dict[str, Any], key: bytes, claims: Any = None) -> str:
    """With a header that no library would write."""
    parts = [part(head), part(GOOD if claims is None else claims)]
    return ".".join([*parts, text_of(hmac.digest(key, ".".join(parts).encode(), hashlib.sha256))])


def part(content: Any) -> str:
    return text_of(json.dumps(content).encode())


def text_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


REFUSED = {
    "expired": signed(exp=NOW - 60),
    "not yet valid": signed(nbf=NOW + 3600),
    "issued in the future": signed(iat=NOW + 3600),
    "without an expiry": signed(exp=None),
    "an expiry that is no number": handmade({"alg": "HS256"}, SECRET, {**GOOD, "exp": "never"}),
    "an endless expiry": handmade({"alg": "HS256"}, SECRET, {**GOOD, "exp": 1e400}),
    "without streams": signed(streams=None),
    "streams that are none": signed(streams="*/*"),
    "a pattern that is none": signed(streams=["#"]),
    "claims that are a list": handmade({"alg": "HS256"}, SECRET, [1]),
    "signed with another secret": signed(b"x" * 32),
    "signed with another key": signed(ec.generate_private_key(ec.SECP256R1()), "ES256"),
    "signed with nothing": f"{part({'alg': 'none'})}.{part(GOOD)}.",
    "signed with nothing, in capitals": f"{part({'alg': 'NONE', 'typ': 'JWT'})}.{part(GOOD)}.",
    "the public key taken for a secret": handmade({"alg": "HS256", "typ": "JWT"}, PUBLIC),
    "the public key, stripped, taken for a secret": handmade({"alg": "HS256"}, PUBLIC.strip()),
    "the secret under the key's algorithm": handmade({"alg": "ES256"}, SECRET),
    "another algorithm": signed(b"x" * 64, "HS512"),
    "a key of its own": handmade({"alg": "HS256", "jwk": {"kty": "oct", "k": text_of(b"x" * 32)}}, b"x" * 32),
    "a key elsewhere": handmade({"alg": "HS256", "jku": "http://127.0.0.1:1/", "kid": "../../secret"}, b"x" * 32),
    "critical extensions": handmade({"alg": "HS256", "crit": ["exp2"], "exp2": 1}, SECRET),
    "without a signature": signed().rpartition(".")[0] + ".",
    "two parts": signed().rpartition(".")[0],
    "huge": "x" * 7000 + "." + "y" * 100 + ".z",
    "huge and well-formed": signed(note="x" * 9000),
    "deep": f"{part({'alg': 'HS256'})}.{text_of(b'[' * 5000)}.x",
    "no text": "%ff%fe",
}

CLOSED = ("/api/v1/streams", "/api/v1/streams/bbb1/ecg/live", "/api/v1/streams/bbb1/ecg/samples", "/api/v1/events")
FOR_ADMINISTRATORS = ("/metrics", "/api/v1/subscribers")


class Guarded(Besieged):
    """A relay that asks for tokens; its healthy viewer has one."""

    before_subscribing = command(type="auth", token=signed())
    tcp_port = 0


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """It takes tokens of both kinds of key, and has a TCP outlet."""
    folder, port = tmp_path_factory.mktemp("relay"), free_port()
    (folder / "secret").write_bytes(SECRET)
    (folder / "public.pem").write_bytes(PUBLIC)
    config = (
        f'[auth]\nsecret_file = "{folder / "secret"}"\npublic_key = "{folder / "public.pem"}"\n'
        f'[[outlet]]\ntype = "tcp"\nlisten = "127.0.0.1:{port}"\nstream = "bbb1/ecg"\n'
    )
    with besieged(folder, Guarded, config=config) as running:
        running.tcp_port = port
        yield running


def status(relay: Besieged, path: str, *headers: str, method: str = "GET") -> int:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    answer = relay.provoke("\r\n".join(lines).encode() + b"\r\n\r\n", 5)
    return int(answer[9:12])


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_at_every_door(relay: Guarded, kind: str) -> None:
    token = REFUSED[kind]
    for path in (*CLOSED, *FOR_ADMINISTRATORS):
        assert status(relay, path, f"Authorization: Bearer {token}") in (400, 401), path
        assert status(relay, path, f"Cookie: headwater={token}") in (400, 401), path
    assert status(relay, "/api/v1/live?stream=bbb1/ecg", f"Authorization: Bearer {token}") in (400, 401)
    assert status(relay, "/api/v1/session", f"Authorization: Bearer {token}", method="POST") in (400, 401)
    assert websocket_close(relay, token) == 4401
    assert tcp_answer(relay, token)["error"]["code"] == "unauthorized"
    assert token not in relay.process.err
    relay.check()


def test_a_good_one_of_either_key_opens_every_door(relay: Guarded) -> None:
    """Or else all of the above proves nothing."""
    for token in (signed(), signed(PRIVATE, "ES256")):
        bearer, cookie = f"Authorization: Bearer {token}", f"Cookie: headwater={token}"
        for path in ("/api/v1/streams", *FOR_ADMINISTRATORS):
            assert (status(relay, path, bearer), status(relay, path, cookie)) == (200, 200)
        assert status(relay, "/api/v1/session", bearer, method="POST") == 200
        assert websocket_close(relay, token) == 1000
        assert "stream" in tcp_answer(relay, token)


def test_one_of_another_stream_opens_that_alone(relay: Guarded) -> None:
    token = signed(streams=["bbb2/*"], admin=False)
    bearer = f"Authorization: Bearer {token}"
    for path in ("/api/v1/streams/bbb1/ecg/live", "/api/v1/streams/bbb1/ecg/samples", *FOR_ADMINISTRATORS):
        assert status(relay, path, bearer) == 403, path
    with relay.connected() as viewer:
        FLAVOURS["websocket"].greet(viewer, "")
        viewer.sendall(command(type="auth", token=token) + command(type="subscribe", stream="bbb1/ecg"))
        viewer.sendall(command(type="subscribe", stream="bbb1/ecg", last="10s") + b"\x88\x80\0\0\0\0")
        told = [json.loads(text) for opcode, text in frames_in(rest_of(viewer)) if opcode == 1]
    assert "subscribed" not in {content["type"] for content in told}
    assert [content["code"] for content in told if content["type"] == "error"][-1] == "unauthorized"
    assert tcp_answer(relay, token)["error"]["code"] == "unauthorized"
    relay.check()


def websocket_close(relay: Besieged, token: str) -> int:
    """What a WebSocket is closed with that sends the token first; 1000 if it was taken."""
    with relay.connected() as viewer:
        FLAVOURS["websocket"].greet(viewer, "")
        viewer.sendall(command(type="auth", token=token) + b"\x88\x82\0\0\0\0\x03\xe8")
        *_, (opcode, payload) = frames_in(rest_of(viewer))
    assert opcode == 8
    return int.from_bytes(payload[:2], "big")


def tcp_answer(relay: Guarded, token: str) -> Any:
    """The first line that the TCP outlet says to whoever brings the token."""
    with relay.connected(relay.tcp_port) as client:
        client.sendall(token.encode() + b"\n")
        line = client.makefile("rb").readline()
    return json.loads(line)
