"""The TCP outlet: who may read, and what is said to those who may not; clients that say what they should not."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.config import RelayConfig, load_mapping
from gateway.errors import ConfigError
from gateway.relay.auth import TOKEN_BYTES, make_token
from tests.gateway.relay.tcp_yard import STREAM, TcpYard
from tests.support.certificates import make_certificate
from tests.support.messages import batch
from tests.support.waiting import eventually

SECRET = b"0123456789abcdef0123456789abcdef"
UNKNOWN = {"stream": STREAM, "meta": None}
TOO_LONG = f"the first line must be a token; it may have {TOKEN_BYTES} bytes"


def token(*streams: str, secret: bytes = SECRET, lifetime_s: float = 60) -> bytes:
    return make_token(secret, streams or ("bbb1/*",), lifetime_s, subject="", admin=False).encode()


@pytest.fixture
def auth(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "secret").write_bytes(SECRET)
    return {"secret_file": str(tmp_path / "secret")}


@pytest.fixture(params=["ndjson", "cbor"])
async def guarded(request: pytest.FixtureRequest, auth: dict[str, Any]) -> AsyncIterator[TcpYard]:
    """A relay that asks for tokens, and not for long."""
    async with TcpYard(request.param, auth=auth, handshake="500ms") as yard:
        yield yard


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\nand more that nobody asked for\n"])
async def test_a_token_in_the_first_line_opens_its_stream(guarded: TcpYard, end: bytes) -> None:
    client = await guarded.connect()
    await client.say(token() + end)
    assert await client.next() == UNKNOWN
    guarded.publish(batch(0, 1))
    assert (await client.next()).keys() & {"values", "d"}


async def test_a_token_in_single_bytes_is_put_together(guarded: TcpYard) -> None:
    client = await guarded.connect()
    for byte in token() + b"\n":
        await client.say(bytes([byte]))
    assert await client.next() == UNKNOWN


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "another stream": (lambda: token("bbb2/*") + b"\n", f"the token does not allow {STREAM}"),
    "another secret": (
        lambda: token(secret=b"x" * 32) + b"\n",
        "the token is not valid: InvalidSignatureError",
    ),
    "expired": (lambda: token(lifetime_s=-60) + b"\n", "the token has expired"),
    "no token": (lambda: b"nonsense\n", "the token is not valid: DecodeError"),
    "an empty line": (lambda: b"\n", "the token is not valid: DecodeError"),
    "no text": (lambda: b"\xff\xfe\x00\n", "the token is not valid: it has other characters than those of a JWT"),
    "HTTP": (lambda: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "the token is not valid: DecodeError"),
    "a line without an end": (lambda: b"x" * 300_000, TOO_LONG),
    "a line too long": (lambda: b"x" * (TOKEN_BYTES + 1) + b"\n", TOO_LONG),
    "nothing": (lambda: b"", "no token came in time; it must be the first line"),
    "a token without an end": (token, "no token came in time; it must be the first line"),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_who_has_none_or_a_wrong_one_is_told_so_and_gets_nothing(guarded: TcpYard, kind: str) -> None:
    line, message = REFUSED[kind]
    client = await guarded.connect()
    saying = asyncio.create_task(client.say(line()))
    guarded.publish(batch(0, 1))
    assert await client.next() == {"error": {"code": "unauthorized", "message": message}}
    assert await client.reader.read() == b""
    await saying
    client.writer.close()
    await eventually(lambda: guarded.core.gate.connections == 0, "the connection to be gone")


async def test_one_that_is_refused_and_does_not_go_is_cut_off(guarded: TcpYard) -> None:
    client = await guarded.connect()
    await client.say(b"nonsense\n")
    await eventually(lambda: guarded.core.gate.connections == 0, "the connection to be gone")


async def test_who_s_token_expires_is_sent_away(guarded: TcpYard) -> None:
    client = await guarded.connect()
    await client.say(token() + b"\n")
    assert await client.next() == UNKNOWN
    (reader,) = guarded.clients
    assert reader.grant is not None
    reader.grant = type(reader.grant)(reader.grant.streams, expires=1.0)
    reader.look_after(0)
    assert await client.error() == {"code": "expired", "message": "the token has expired"}


async def test_a_client_with_a_token_may_read_where_none_is_asked_for() -> None:
    async with TcpYard() as yard:
        client = await yard.connect()
        await client.say(token() + b"\n")
        assert await client.next() == UNKNOWN


@pytest.mark.parametrize("format_", ["ndjson", "cbor"])
async def test_a_connection_too_many_is_told_so_and_who_leaves_makes_room(format_: str) -> None:
    async with TcpYard(format_, connections_per_address=2) as yard:
        held = [await yard.connect() for _ in range(2)]
        for client in held:
            assert await client.next() == UNKNOWN
        message = "the relay takes 2 connections from one address"
        assert await (await yard.connect()).error() == {"code": "limit", "message": message}
        held[0].writer.close()
        held[0].reset()
        await yard.has(1)
        assert await (await yard.connect()).next() == UNKNOWN


async def test_what_a_client_says_is_ignored_and_nothing_grows() -> None:
    async with TcpYard() as yard:
        client = await yard.connect()
        assert await client.next() == UNKNOWN
        garbage = random.Random(1).randbytes(1 << 20)
        await client.say(garbage)
        before = psutil.Process().memory_info().rss
        for _ in range(64):
            await client.say(garbage)
        yard.publish(batch(0, 1))
        assert (await client.next())["index"] == 0
        assert psutil.Process().memory_info().rss - before < 16 << 20


async def test_any_bytes_are_answered_or_cut_off_and_end_nothing(guarded: TcpYard) -> None:
    chance = random.Random(2)
    for _ in range(50):
        client = await guarded.connect()
        await client.say(chance.randbytes(chance.randrange(1, 200)) + b"\n")
        assert (await client.error())["code"] == "unauthorized"
        client.reset()
    client = await guarded.connect()
    await client.say(token() + b"\n")
    assert await client.next() == UNKNOWN


async def test_it_speaks_tls_where_the_relay_does(auth: dict[str, Any], tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, "localhost")
    trusting = ssl.create_default_context(cafile=str(cert))
    trusting.check_hostname = False
    async with TcpYard(auth=auth, cert=str(cert), key=str(key)) as yard:
        client = await yard.connect(ssl=trusting, server_hostname="localhost")
        await client.say(token() + b"\n")
        assert await client.next() == UNKNOWN
        yard.publish(*(batch(index, 10) for index in range(0, 1000, 10)))
        assert [(await client.next())["index"] for _ in range(1000)] == list(range(1000))
        refused = await yard.connect(ssl=trusting, server_hostname="localhost")
        await refused.say(b"nonsense\n")
        assert (await refused.error())["code"] == "unauthorized"


def say_with_the_end_of_the_handshake(context: ssl.SSLContext, port: int, line: bytes) -> None:
    """A TLS client whose last message of the handshake and first line arrive together; it reads two lines."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(1 << 16))
        tls.write(line)
        connection.sendall(outgoing.read())
        read = b""
        while read.count(b"\n") < 2:
            try:
                read += tls.read(1 << 16)
            except ssl.SSLWantReadError:
                incoming.write(connection.recv(1 << 16))


async def test_a_token_that_comes_with_the_end_of_the_tls_handshake_is_as_good_as_a_later_one(
    auth: dict[str, Any], tmp_path: Path
) -> None:
    """TLS's own messages wait to be sent then, and the transport does not say when they are gone."""
    cert, key = make_certificate(tmp_path, "localhost")
    trusting = ssl.create_default_context(cafile=str(cert))
    trusting.check_hostname = False
    async with TcpYard(auth=auth, cert=str(cert), key=str(key)) as yard:
        line = token() + b"\n"
        reading = asyncio.create_task(
            asyncio.to_thread(say_with_the_end_of_the_handshake, trusting, yard.port, line)
        )
        await yard.has(1)
        yard.publish(batch(0, 1))
        await reading


OUTLET = {"type": "tcp", "listen": "127.0.0.1:9100", "stream": STREAM}


def test_elsewhere_than_loopback_somebody_must_log_in_or_it_must_be_said(auth: dict[str, Any]) -> None:
    outlet = {**OUTLET, "listen": "0.0.0.0:9100"}
    complaint = (
        r"test: outlet\[0\]\.listen: must be on a loopback address .* as long as there is no login: "
        r"set auth\.secret_file or auth\.public_key, or relay\.insecure = true; found '0\.0\.0\.0:9100'"
    )
    with pytest.raises(ConfigError, match=complaint):
        load_mapping(RelayConfig, {"outlet": [outlet]}, "test")
    assert load_mapping(RelayConfig, {"outlet": [outlet], "auth": auth}, "test")
    assert load_mapping(RelayConfig, {"outlet": [outlet], "relay": {"insecure": True}}, "test")


@pytest.mark.parametrize(
    ("outlet", "complaint"),
    [
        ({"listen": "9100"}, "outlet[0].listen: must be 'address:port' with a port from 1 to 65535; found '9100'"),
        ({"stream": "ecg"}, "outlet[0].stream: 'ecg' is not a stream: it must be 'device/stream'; found 'ecg'"),
        ({"format": "csv"}, "outlet[0].format: input should be 'ndjson' or 'cbor'; found 'csv'"),
        (
            {"forma": "cbor"},
            "outlet[0].forma: unknown key; allowed here: stream, type, listen, format, policy, mode; "
            "did you mean 'format'?",
        ),
        ({"type": "tpc"}, "outlet[0].type: must be one of zmq, tcp; did you mean 'tcp'?; found 'tpc'"),
        ({"type": 5}, "outlet[0].type: must be one of zmq, tcp; found '5'"),
    ],
)
def test_what_makes_no_sense_is_refused(outlet: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mapping(RelayConfig, {"outlet": [{**OUTLET, **outlet}]}, "test")
    assert str(caught.value) == f"test: {complaint}"
