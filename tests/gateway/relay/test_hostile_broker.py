"""Whatever anybody publishes on any topic: counted, survived, and the relay is well afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.codec import CODECS
from gateway.topics import Topics
from tests.gateway.relay.siege import Besieged, besieged
from tests.support.messages import messages

MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
topics = Topics()
TOPICS = (
    *(topics.batch("bbb1", "ecg"), topics.batch("bbb1", "ecg"), topics.meta("bbb1", "ecg"), topics.status("bbb1")),
    *(topics.health("bbb1"), topics.event("bbb1", "load", "made"), topics.batch("bbb2", "json")),
    *("headwater/bbb1/stream/ecg/latest", "headwater/bbb1/stream/ecg/batch/more", "headwater/bbb1/request/resend"),
    *(
        "headwater//stream//batch",
        "headwater/.hidden/stream/x/batch",
        "headwater/b b/status",
        "headwater/\u00e4/status",
    ),
    *("headwater/" + "x" * 300 + "/status", "headwater/bbb1/event/a", "headwater/bbb1/event/a/b/c", "headwater"),
)
DEEP = (
    *(b"\x81" * 100_000, b"\xa1\x61a" * 50_000, b"\xc1" * 100_000, b"[" * 100_000, b'{"a":' * 50_000),
    *(
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xbf" * 1000,
        b"\x9f" * 1000,
    ),
    *(
        b"9" * 100_000,
        b'{"epoch":' + b"9" * 10_000 + b"}",
        b'{"online":NaN}',
        b'"\\ud800"',
        b'{"a":"\\u0000"}',
        b"null",
    ),
    *(
        b"\xd9\x01\x02\x80",
        b"\xd8\x1c\x80",
        b"\xd8\x1d\x00",
        b"\xc2\x41\x00",
        b"\xc4\x82\x20\x18\x63",
        b"\xfb" + b"\xff" * 8,
    ),
)
"""CBOR and JSON that are deep, endless, huge, shared, dated or no numbers."""

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=10)
    | st.builds(cbor2.CBORTag, st.sampled_from([0, 1, 4, 30, 40, 64, 77, 78, 86, 258]), st.binary(max_size=10)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
QUERIES = (
    *(
        f"format={form}{rest}"
        for form in ("json", "ndjson", "csv", "cbor", "npy")
        for rest in ("", "&last_frames=9")
    ),
    *(
        "points=10",
        "points=10&format=csv",
        "from=0&to=1",
        "at=0&before=5&after=5",
        "last=10s",
        "epoch=1&index=0&count=5",
    ),
)
KEYS = ("v", "e", "i", "t", "m", "r", "q", "c", "d", "o", "n", "why")
nearly = st.builds(
    lambda message, changes, gone: {
        key: value
        for key, value in {**cbor2.loads(CODECS["cbor"].encode(message)), **changes}.items()
        if key != gone
    },
    messages(),
    st.dictionaries(st.sampled_from(KEYS), values, max_size=2),
    st.sampled_from([*KEYS, None]),
)


def as_cbor(content: Any) -> bytes:
    try:
        return cbor2.dumps(content)
    except (ValueError, TypeError, OverflowError):
        return b"\xff"


def as_json(content: Any) -> bytes:
    return json.dumps(content, default=str).encode(errors="replace")


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Bytes that are no message, or nearly one."""
    match draw(st.integers(0, 5)):
        case 0:
            return draw(st.binary(max_size=200))
        case 1:
            return draw(st.sampled_from(DEEP))
        case 2:
            whole = as_cbor(draw(nearly))
            return whole[: draw(st.integers(0, len(whole)))]
        case 3:
            return as_json(draw(values))
    return as_cbor(draw(nearly))


statuses = st.fixed_dictionaries(
    {"v": st.just(1)},
    optional={
        "online": values,
        "epoch": values,
        "streams": values | st.lists(st.text(max_size=5), max_size=3),
        "acquired": values | st.dictionaries(st.sampled_from(["ecg", ""]), values, max_size=2),
        "previous": values
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "stream": st.sampled_from(["ecg", "", "../x"]) | values,
                    "epoch": st.integers(-1, 1 << 65) | values,
                    "reached": st.integers(-1, 1 << 65) | values,
                    "backlog": st.lists(st.lists(st.integers(-5, 1 << 63), max_size=3), max_size=3) | values,
                },
            ),
            max_size=3,
        ),
    },
)
metas = st.fixed_dictionaries(
    {"v": st.just(1)},
    optional={
        "codec": st.sampled_from(["cbor", "json", "senml", "pickle", ["cbor"], None]),
        "rate": values,
        "channels": values
        | st.lists(
            st.fixed_dictionaries(
                {}, optional=dict.fromkeys(("name", "unit", "scale", "offset", "minimum", "maximum"), values)
            ),
            max_size=3,
        ),
    },
)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    with besieged(tmp_path_factory.mktemp("relay"), Besieged) as running:
        yield running


@pytest.fixture
def readers(relay: Besieged) -> Iterator[None]:
    """Somebody at each HTTP outlet, so that whatever comes has to be put into each form."""
    relay.device.publish(topics.meta("bbb1", "ecg"), b'{"v":1,"channels":[{"name":"lead_i"}]}')
    paths = [f"/api/v1/streams/bbb1/ecg/live?format={form}" for form in ("csv", "ndjson", "cbor")]
    held = []
    for path in [*paths, "/api/v1/events", "/api/v1/events?device=bbb1"]:
        opened = relay.connected()
        connection = opened.__enter__()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert b" 200 OK" in connection.recv(100), path
        held.append(opened)
    yield
    for opened in held:
        opened.__exit__(None, None, None)


@pytest.mark.usefixtures("readers")
def test_any_payload_on_any_topic_is_counted_or_taken(relay: Besieged) -> None:
    before = undecodable(relay)

    @MANY
    @given(st.lists(st.tuples(st.sampled_from(TOPICS), payloads()), min_size=1, max_size=8))
    def attack(published: list[tuple[str, bytes]]) -> None:
        for topic, payload in published:
            relay.device.send(topic, payload)

    attack()
    for topic in TOPICS:
        for payload in DEEP:
            relay.device.send(topic, payload)
    relay.check()
    assert undecodable(relay) > before


@pytest.mark.usefixtures("readers")
def test_any_status_and_any_meta_are_lived_with(relay: Besieged) -> None:
    @MANY
    @given(statuses, metas, messages())
    def attack(status: dict[str, Any], meta: dict[str, Any], message: Any) -> None:
        relay.device.send(topics.status("bbb1"), as_json(status))
        relay.device.send(topics.meta("bbb1", "ecg"), as_json(meta))
        relay.device.send(topics.batch("bbb1", "ecg"), CODECS["cbor"].encode(message))
        relay.device.send(topics.batch("bbb1", "ecg"), as_json(meta))

    attack()
    relay.device.publish(topics.meta("bbb1", "ecg"), b'{"v":1,"channels":[{"name":"lead_i"}]}')
    for path in (
        "/api/v1/streams",
        "/metrics",
        *(f"/api/v1/streams/bbb1/ecg/samples?{query}" for query in QUERIES),
    ):
        answer = relay.say(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), (path, answer[:300])
    relay.check()


def test_thousands_of_topics_that_nobody_knows_are_bounded(relay: Besieged) -> None:
    for number in range(1500):
        relay.device.send(f"headwater/device{number}/nonsense/{number}/batch", b"\xff")
        relay.device.send(f"headwater/bbb1/event/sender{number}/made", b"\xff")
    relay.check()


def undecodable(relay: Besieged) -> int:
    answer = relay.say(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    count: int = json.loads(answer.partition(b"\r\n\r\n")[2])["undecodable"]
    return count
