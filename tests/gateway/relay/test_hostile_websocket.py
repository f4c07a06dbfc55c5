"""WebSockets as nobody should speak them: the error that the protocol has, and the relay is well afterwards."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.relay.websocket import Close
from tests.bench.greetings import FLAVOURS
from tests.gateway.relay.siege import LULL_S, STREAM, Besieged, besieged, command, masked, rest_of
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.wires import frames_in

MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
TYPES = {
    "hello",
    "broker",
    "status",
    "meta",
    "undecodable",
    "subscribed",
    "unsubscribed",
    "authorized",
    "pong",
    "error",
}
CODES = {"bad_request", "unauthorized"}
DOCUMENTED = {Close.PROTOCOL_ERROR, Close.BAD_TEXT, Close.TOO_BIG}
"""The closes of a client that breaks the protocol: docs/relay.md."""


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    with besieged(tmp_path_factory.mktemp("relay"), Besieged) as running:
        running.device.publish("headwater/bbb1/stream/ecg/meta", b'{"v":1,"channels":[{"name":"lead_i"}]}')
        yield running


def said(
    relay: Besieged, data: bytes, stream: str = "", patience_s: float = PATIENCE_S
) -> list[tuple[int, bytes]]:
    """The frames that are answered, until the relay closes or is silent for so long."""
    with relay.connected() as connection:
        FLAVOURS["websocket"].greet(connection, stream)
        with contextlib.suppress(ConnectionError):  # it may have heard enough
            connection.sendall(data + masked(PING, b"the last") + masked(CLOSE, struct.pack("!H", 1000)))
        connection.settimeout(patience_s)
        return list(frames_in(rest_of(connection)))


def check_frames(frames: list[tuple[int, bytes]]) -> int | None:
    """Everything is a message of the protocol; the code of the close."""
    for opcode, payload in frames:
        match opcode:
            case 1:
                content = json.loads(payload)
                assert content["type"] in TYPES
                assert content["type"] != "error" or content["code"] in CODES
                assert content["type"] != "error" or len(content["message"]) < 1000
            case 8:
                return int.from_bytes(payload[:2], "big") if payload else None
            case other:
                assert other in (BINARY, PONG), other
    return None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "stream",
    "policy",
    "mode",
    "epoch",
    "index",
    "last",
    "last_frames",
    "envelope",
    "token",
    "type",
    "x" * 300,
)
sensible = {
    "stream": st.sampled_from([STREAM, "bbb1/none", "../..", "a/b/c", "#", ""]),
    "policy": st.sampled_from(["decimate", "disconnect", "hope"]),
    "mode": st.sampled_from(["live", "complete", "dead"]),
    "epoch": st.integers(-1, 1 << 65),
    "index": st.integers(-1, 1 << 65),
    "last": st.sampled_from(["10s", "-1s", "9999999999h", 10, 1e300, "nan", float("inf")]),
    "last_frames": st.integers(-1, 1 << 65),
    "envelope": st.fixed_dictionaries(
        {},
        optional={
            "seconds": st.floats() | st.sampled_from(["10s", "1e300s", 1e300]),
            "width": st.integers(-1, 1 << 20),
            "channels": st.lists(st.integers(-1, 1 << 33), max_size=300),
            "rate": st.floats(),
        },
    ),
}
commands = st.builds(
    lambda kind, likely, odd: {"type": kind, **likely, **odd},
    st.sampled_from(["subscribe", "subscribe", "subscribe", "unsubscribe", "auth", "ping", "hello", None, 5]),
    st.fixed_dictionaries(
        {"stream": sensible["stream"]}, optional={k: v for k, v in sensible.items() if k != "stream"}
    ),
    st.dictionaries(st.sampled_from(NAMES), json_values, max_size=1),
)
texts = st.one_of(
    commands.map(lambda content: json.dumps(content).encode()),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"[" * 10_000, b'{"a":' * 3000, b"9" * 10_000, b'{"type":"ping"}{"type":"ping"}', b"\xef\xbb\xbf{}"]
    ),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Frames, most of them nearly right."""
    match draw(st.integers(0, 9)):
        case 0:
            return draw(st.binary(max_size=100))
        case 1:
            return masked(
                draw(st.integers(0, 15)),
                draw(st.binary(max_size=130)),
                first=draw(st.sampled_from([0, 0x80, 0xF0])),
            )
        case 2:
            return masked(
                TEXT, draw(texts), size=draw(st.sampled_from([0, 125, 126, 65_535, 1 << 62, (1 << 63) + 1]))
            )
        case 3:
            return masked(TEXT, draw(st.binary(max_size=50)))
        case 4:
            text, cut = draw(texts), draw(st.integers(0, 20))
            middle = draw(st.sampled_from([b"", masked(PING, b"between"), masked(TEXT, b"{}")]))
            return masked(TEXT, text[:cut], first=0) + middle + masked(0, text[cut:])
    return masked(TEXT, draw(texts))


def test_any_frames_are_answered_as_the_protocol_answers(relay: Besieged) -> None:
    @MANY
    @given(st.lists(frames(), min_size=1, max_size=5), st.sampled_from(["", STREAM]))
    def attack(attacks: list[bytes], stream: str) -> None:
        sent = b"".join(attacks)
        code = check_frames(said(relay, sent, stream, LULL_S))  # the last frames may be part of others
        # a close among the attacks is answered with its own code: RFC 6455, section 5.5.1
        assert code in (None, 1000, *DOCUMENTED) or (0x88 in sent and code in range(1000, 5000))

    attack()
    relay.check()


def test_any_command_is_obeyed_or_refused(relay: Besieged) -> None:
    @MANY
    @given(st.lists(commands, min_size=1, max_size=5))
    def attack(contents: list[dict[str, Any]]) -> None:
        answered = said(relay, b"".join(masked(TEXT, json.dumps(content).encode()) for content in contents))
        assert check_frames(answered) == 1000, "it was obeyed or refused to the end"
        assert (PONG, b"the last") in answered

    attack()
    relay.check()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(TEXT, b"x" * (16 << 10)) + masked(TEXT, b"x" * ((16 << 10) + 1)), Close.TOO_BIG),
        (masked(TEXT, b"x" * (16 << 10), first=0) + masked(0, b"x"), Close.TOO_BIG),
        (masked(TEXT, b"", size=1 << 62), Close.TOO_BIG),
        (masked(TEXT, b"\xff\xfe"), Close.BAD_TEXT),
        (masked(TEXT, b"{}", first=0xC0), Close.PROTOCOL_ERROR),
        (b"\x81\x02{}", Close.PROTOCOL_ERROR),
        (masked(3, b""), Close.PROTOCOL_ERROR),
        (masked(0, b"{}"), Close.PROTOCOL_ERROR),
        (masked(PING, b"x" * 126), Close.PROTOCOL_ERROR),
    ],
)
def test_who_breaks_the_protocol_is_told_how_and_cut_off(relay: Besieged, data: bytes, code: Close) -> None:
    assert check_frames(said(relay, data, STREAM)) == code
    relay.answers()


@pytest.mark.slow
def test_thousands_of_subscriptions_on_one_connection_leave_nothing_behind(relay: Besieged) -> None:
    relay.device.publish("headwater/bbb1/stream/ecg/batch", b"nonsense")
    kinds: list[dict[str, Any]] = [
        {"stream": STREAM},
        {"stream": "bbb1/none", "mode": "complete"},
        {"stream": STREAM, "last": "10s"},
        {"stream": STREAM, "last_frames": 5, "policy": "decimate"},
        {"stream": STREAM, "epoch": 1, "index": 0, "mode": "complete"},
        {"stream": STREAM, "envelope": {"seconds": 10, "width": 100}},
    ]
    flood = b"".join(
        command(type="subscribe", **kinds[number % len(kinds)]) + command(type="unsubscribe") * (number % 2)
        for number in range(1000)
    )
    assert check_frames(said(relay, flood)) == 1000
    relay.check()


def test_who_asks_faster_than_anybody_needs_waits_and_the_others_do_not(relay: Besieged) -> None:
    """He does not read either: the answers that wait are kept once for each kind, not once for each command."""
    flood = (
        command(type="ping") + masked(PING, b"x") + command(type="subscribe", stream="no") + masked(BINARY, b"")
    )
    with relay.connected() as eager:
        FLAVOURS["websocket"].greet(eager, STREAM)
        eager.settimeout(1)
        with pytest.raises(TimeoutError):
            eager.sendall(flood * 200_000)
        relay.check()


def test_a_frame_that_never_ends_costs_no_more_than_a_message(relay: Besieged) -> None:
    """Slow loris on frames: half a message on each of many connections, byte by byte, in fragments without end."""
    slow = []
    for number in range(100):
        connection = relay.connected()
        opened = connection.__enter__()
        slow.append(connection)
        FLAVOURS["websocket"].greet(opened, STREAM)
        opened.sendall(
            masked(TEXT, b"x" * 16_000, size=16_384) if number % 2 else masked(TEXT, b"x" * 8000, first=0)
        )
        opened.sendall(masked(0, b"", first=0) * 900 if number % 2 == 0 else b"x")
    relay.check()
    for connection in slow:
        connection.__exit__(None, None, None)
    wait_until(lambda: subscribers(relay) == 0, "the slow ones to be forgotten")


def subscribers(relay: Besieged) -> int:
    answer = relay.say(b"GET /api/v1/subscribers HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    return len(json.loads(answer.partition(b"\r\n\r\n")[2])["subscribers"])


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n",
        b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"POST /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\xff\r\n\r\n",
    ],
)
def test_a_handshake_that_is_none_is_refused(relay: Besieged, head: bytes) -> None:
    assert relay.provoke(head)[9:12] in (b"400", b"405")
    relay.answers()
