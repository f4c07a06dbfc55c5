"""HTTP as nobody should speak it: an answer that HTTP knows, never a 500, and the relay is well afterwards."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.codec import CODECS
from tests.gateway.relay.siege import Besieged, besieged, rest_of
from tests.support.messages import batch
from tests.support.waiting import PATIENCE_S, wait_until

MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
KNOWN = {101, 200, 204, 304, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 416, 417, 426, 431, 501, 503, 505}
"""Statuses that say what the client did wrong, or that it did not."""


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    with besieged(tmp_path_factory.mktemp("relay"), Besieged) as running:
        yield running


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/\d\.\d (\d{3}) ", answer)]


def check_answer(answer: bytes) -> None:
    assert set(statuses(answer)) <= KNOWN, answer[:2000]
    assert not answer or answer.startswith(b"HTTP/"), answer[:2000]


PATHS = (
    *("/", "/healthz", "/readyz", "/metrics", "/index.html", "/assets/", "*", "http://127.0.0.1/healthz"),
    *("/api/v1/streams", "/api/v1/events", "/api/v1/live", "/api/v1/subscribers", "/api/v1/session"),
    *("/api/v1/streams/bbb1/ecg/live", "/api/v1/streams/bbb1/ecg/samples", "/api/v1/openapi.json"),
    "/api/v1/streams/nobody/nothing/live",
)
PIECES = (
    "api",
    "v1",
    "streams",
    "bbb1",
    "ecg",
    "live",
    "samples",
    "..",
    ".",
    "%00",
    "%2e%2e",
    "%2f",
    "%ff",
    "%",
    "\\",
)
NAMES = (
    *("format", "policy", "stream", "device", "mode", "epoch", "index", "last", "last_frames", "envelope", "from"),
    *("to", "points", "width", "seconds", "rate", "channels", "before", "after", "at", "count"),
)
VALUES = (
    *("", "csv", "ndjson", "cbor", "npy", "json", "bbb1/ecg", "complete", "-1", "0", "1", "1e999", "nan", "inf"),
    *("9" * 30, "9" * 5000, "%00", "%ff%fe", "null", "[]", "{}", "10s", "99999999999h", "2024-01-01T00:00:00Z"),
)
HEADERS = (
    *("Host: evil.example", "Host: [::1", "Host: ", "Host: 127.0.0.1:99999999", "Origin: null", "Origin: //"),
    *("Origin: http://[", "Cookie: headwater=;;;=\x01", "Authorization: Bearer a.b.c", "Authorization: Bearer"),
    *("Accept: application/openmetrics-text;version=99.9", "Accept: ;;q=x", "Range: bytes=-1,9-1,x"),
    *("If-None-Match: *", "If-Modified-Since: yesterday", "Expect: 100-continue", "Expect: miracles"),
    *(
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip",
    ),
    *("Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c", "Sec-WebSocket-Version: 13"),
    *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Extensions: permessage-deflate; x=\x00"),
    *("Last-Event-ID: 99999999999999999999", "Accept-Encoding: gzip, identity;q=0", " folded: yes"),
)

methods = st.sampled_from(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "G\x00T", ""]
)
queries = st.lists(
    st.tuples(st.sampled_from(NAMES), st.one_of(st.sampled_from(VALUES), st.text(max_size=20))), max_size=4
).map(lambda pairs: "?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else "")
paths = st.one_of(
    st.sampled_from(PATHS),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map(lambda pieces: "/" + "/".join(pieces)),
    st.text(max_size=30).map(lambda text: f"/{text}"),
)
bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=100),
    st.sampled_from(
        [b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n\r\n", b"5;x=y\r\nhel", b"\r\n\r\n"]
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is nearly one."""
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "HTTP", ""]))
    lines = [f"{draw(methods)} {draw(paths)}{draw(queries)} {version}"]
    lines += ["Host: 127.0.0.1"] if draw(st.integers(0, 5)) else []
    lines += draw(st.lists(st.sampled_from(HEADERS), max_size=3)) if draw(st.booleans()) else []
    if draw(st.integers(0, 3)) == 1:
        lines.append("Transfer-Encoding: chunked")
    return "\r\n".join(lines).encode(errors="replace") + b"\r\n\r\n" + draw(bodies)


def test_any_request_is_answered_as_http_answers(relay: Besieged) -> None:
    relay.device.publish("headwater/bbb1/stream/ecg/meta", b'{"v":1,"channels":[{"name":"lead_i"}]}')

    answered: set[int] = set()

    @MANY
    @given(st.lists(requests(), min_size=1, max_size=3))
    def attack(pipelined: list[bytes]) -> None:
        answer = relay.provoke(b"".join(pipelined))
        check_answer(answer)
        answered.update(statuses(answer))

    attack()
    for path in PATHS:
        answered.update(statuses(relay.provoke(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())))
    answered.update(statuses(relay.provoke(b"GET /healthz HTTP\r\n\r\n")))
    assert answered >= {200, 400, 404}, "or else nothing was tested"
    relay.check()


def test_any_bytes_are_answered_or_cut_off(relay: Besieged) -> None:
    @MANY
    @given(st.binary(max_size=300), st.booleans())
    def attack(data: bytes, ended: bool) -> None:
        check_answer(relay.provoke(data + b"\r\n\r\n" * ended))

    attack()
    relay.check()


def test_whoever_sends_a_megabyte_of_head_or_of_query_is_refused(relay: Besieged) -> None:
    for request in (
        b"GET /healthz?" + b"x=1&" * 300_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Y: z\r\n" * 150_000 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 1_000_000,
        b"\x00" * 1_000_000,
    ):
        assert set(statuses(relay.say(request))) <= {400, 414, 431}
    relay.check()


def test_a_path_leads_nowhere_but_to_the_page(relay: Besieged) -> None:
    for path in (
        *("/../service.py", "/..%2f..%2fservice.py", "/%2e%2e/%2e%2e/service.py", "/....//....//etc/passwd"),
        *(
            "//etc/passwd",
            "/%00",
            "/index.html%00.py",
            "/assets/../../core.py",
            "/" + "a/" * 3000,
            "/\\..\\core.py",
        ),
        *("/api/v1/streams/..%2f..%2f/x/live", "/api/v1/streams/bbb1%00/ecg/live", "/api/v1/streams/%2B/%23/live"),
    ):
        answer = relay.say(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        assert statuses(answer)[0] in (400, 403, 404, 414), (path, answer[:300])
        assert b"import annotations" not in answer
    relay.check()


def test_a_body_that_nobody_asked_for_is_bounded(relay: Besieged) -> None:
    """32 MiB, in chunks and in one."""
    head = b"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n"
    for request in (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + (b"100000\r\n" + bytes(1 << 20) + b"\r\n") * 32
        + b"0\r\n\r\n",
        head + b"Content-Length: 33554432\r\n\r\n" + bytes(32 << 20),
    ):
        check_answer(relay.provoke(request))
    relay.check()


def test_whoever_asks_again_and_again_without_reading_holds_up_only_himself(relay: Besieged) -> None:
    """Requests for a body of a few kB each, until the relay reads no more of them."""
    request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1000
    with relay.connected() as greedy:
        greedy.settimeout(1)
        with pytest.raises(TimeoutError):
            greedy.sendall(request * 1000)
        relay.check()


def test_a_head_that_comes_byte_by_byte_has_the_time_of_the_handshake(relay: Besieged) -> None:
    """`relay.handshake` is a second here."""
    count = 50
    slow = [socket.create_connection(("127.0.0.1", relay.port), PATIENCE_S) for _ in range(count)]
    try:
        started = time.monotonic()
        for byte in b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 200:
            for connection in slow:
                with_luck(connection, bytes([byte]))
            if time.monotonic() - started > 1.5:
                break
            time.sleep(0.01)  # that is how slow they are
        relay.check()
        answers = [rest_of(connection) for connection in slow]
    finally:
        for connection in slow:
            connection.close()
    # a byte that comes after the answer may take the answer with it: RFC 9293, section 3.10.7.1
    assert all(answer.startswith(b"HTTP/1.1 408 ") or not answer for answer in answers)


def with_luck(connection: socket.socket, data: bytes) -> None:
    try:
        connection.send(data)
    except ConnectionError:
        return


def test_half_open_connections_are_not_kept(relay: Besieged) -> None:
    """A client that has said all it will say, and one that has vanished."""
    for head in (b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\n"):
        with relay.connected() as half_open:
            half_open.sendall(head)
            half_open.shutdown(socket.SHUT_WR)
            assert rest_of(half_open) == b""
    with relay.connected() as vanished:
        vanished.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200 OK" in vanished.recv(100)
        vanished.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    wait_until(lambda: subscribers(relay) == 0, "the reader that vanished to be forgotten")
    relay.check()


@pytest.mark.parametrize("form", ["csv", "ndjson", "cbor", "json"])
def test_whoever_leaves_in_the_midst_of_an_answer_is_no_trouble(relay: Besieged, form: str) -> None:
    for number in range(300):
        payload = CODECS["cbor"].encode(batch(number * 100, 100, epoch=1))
        relay.device.publish("headwater/bbb1/stream/long/batch", payload)
    path = f"/api/v1/streams/bbb1/long/samples?format={form}"
    for _ in range(10):
        # those who have left may still be among the few who are answered at a time
        wait_until(lambda: begun(relay, path) == [200], "an answer to begin")
    relay.check()


def begun(relay: Besieged, path: str) -> list[int]:
    """What an answer begins with, of which nobody reads the rest."""
    with relay.connected() as leaving:
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        leaving.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return statuses(leaving.recv(300))


def subscribers(relay: Besieged) -> int:
    answer = relay.say(b"GET /api/v1/subscribers HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    return len(json.loads(answer.partition(b"\r\n\r\n")[2])["subscribers"])


@pytest.mark.parametrize("host", ["evil.example", "", "127.0.0.1.evil.example", "[::1", "\xe4", "a" * 3000, "*"])
@pytest.mark.parametrize("path", ["/api/v1/streams", "/api/v1/live", "/metrics", "/"])
def test_a_host_that_is_not_ours_is_refused(relay: Besieged, host: str, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
    assert statuses(relay.say(head)) in ([403], [400]), host


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1", "file://", "http://[", "\xe4", "x"]
)
@pytest.mark.parametrize("path", ["/api/v1/streams", "/api/v1/live", "/api/v1/events", "/api/v1/session"])
def test_a_page_of_elsewhere_is_refused(relay: Besieged, origin: str, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
    assert statuses(relay.say(head.encode("latin-1"))) in ([403], [400]), origin
