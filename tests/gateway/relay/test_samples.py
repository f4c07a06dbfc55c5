"""`/samples`: any part of the history, exactly, in any form."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from gateway.codec.cbor import CborCodec
from gateway.model import Batch, Gap
from gateway.relay.outlets import samples
from gateway.topics import Topics
from tests.gateway.relay.conftest import Relay, hears, relay_at
from tests.support.messages import batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer

topics, codec = Topics(), CborCodec()
PATH = "/api/v1/streams/bbb1/ecg/samples"
START_NS = 1_700_000_000_000_000_000
STEP_NS = 2_000_000
META = {
    "v": 1,
    "channels": [
        {"name": "lead_i", "unit": "mV", "scale": 0.5, "offset": -1.0},
        {"name": "lead_ii", "unit": "mV", "scale": -2.0, "offset": 0.0},
    ],
}
FRAMES = 1000
LOST = (400, 450)


@pytest.fixture(params=["memory", "disk"])
async def filled(
    request: pytest.FixtureRequest, mosquitto: Mosquitto, device: Peer, tmp_path: Path
) -> AsyncIterator[Relay]:
    """A relay with a thousand frames of 500 Hz, fifty of them lost; with a disk, most are on that alone."""
    history = (
        {"disk": 0} if request.param == "memory" else {"directory": str(tmp_path / "h"), "memory_bytes": 5000}
    )
    device.publish(topics.meta("bbb1", "ecg"), json.dumps(META).encode(), retain=True)
    async with relay_at(mosquitto, history) as relay:
        await hears(relay, mosquitto)
        for index in range(0, FRAMES, 50):
            message = Gap(1, index, 50, "overrun") if index == LOST[0] else batch(index, 50, columns=2)
            device.publish(topics.batch("bbb1", "ecg"), codec.encode(message))
        await relay.came_to("bbb1/ecg", FRAMES)
        yield relay


async def body(relay: Relay, status: int = 200, **query: Any) -> bytes:
    params = {name.rstrip("_"): str(value) for name, value in query.items()}
    async with relay.session.get(relay.url + PATH, params=params) as answer:
        content = await answer.read()
        assert answer.status == status, content
        return content


async def indices(relay: Relay, **query: Any) -> list[int]:
    """Of the delivered frames."""
    answer = json.loads(await body(relay, **query))
    assert answer["stream"] == "bbb1/ecg"
    return [frame["index"] for frame in answer["frames"] if "gap" not in frame]


def delivered(start: int, end: int) -> list[int]:
    return [index for index in range(start, end) if not LOST[0] <= index < LOST[1]]


async def test_without_a_question_it_is_all_there_is_with_its_gaps(filled: Relay) -> None:
    frames = json.loads(await body(filled))["frames"]
    assert [f["index"] for f in frames if "gap" not in f] == delivered(0, FRAMES)
    gap = {"epoch": 1, "index": 400, "count": 50, "reason": "overrun"}
    assert [f["gap"] for f in frames if "gap" in f] == [gap]
    assert frames[3] == {
        "time": "2023-11-14T22:13:20.006000Z",
        "epoch": 1,
        "index": 3,
        "values": {"lead_i": 0.5, "lead_ii": -6.0},
    }


@pytest.mark.parametrize(("start", "end"), [(0, 1), (123, 456), (390, 460), (990, 2000), (401, 449)])
async def test_a_span_of_time_is_exact_to_the_frame(filled: Relay, start: int, end: int) -> None:
    first, last = START_NS + start * STEP_NS, START_NS + end * STEP_NS
    assert await indices(filled, from_=first, to=last) == delivered(start, min(end, FRAMES))
    assert await indices(filled, from_=first + 1, to=last + 1) == delivered(start + 1, min(end + 1, FRAMES))


async def test_the_other_questions_too(filled: Relay) -> None:
    moment = START_NS + 600 * STEP_NS
    assert await indices(filled, from_="2023-11-14T22:13:21.9Z") == list(range(950, 1000))
    assert await indices(filled, from_="2023-11-14T23:13:21.9+01:00") == list(range(950, 1000))
    assert await indices(filled, to="2023-11-14T22:13:20.1Z") == list(range(50))
    assert await indices(filled, epoch=1, index=395, count=10) == delivered(395, 455)
    assert await indices(filled, epoch=1, index=990) == list(range(990, 1000))
    assert await indices(filled, at=moment, before=3, after=4) == list(range(597, 604))
    assert await indices(filled, at=moment, after=1) == [600]
    assert await indices(filled, last="0.1s") == list(range(950, 1000))
    assert await indices(filled, last_frames=7) == list(range(993, 1000))
    assert await indices(filled, last_frames=0) == []
    assert await indices(filled, from_=START_NS + 10**15) == []


async def test_every_form_says_the_same(filled: Relay) -> None:
    query = {"epoch": 1, "index": 380, "count": 60}
    expected = delivered(380, 490)
    lines = [json.loads(line) for line in (await body(filled, format="ndjson", **query)).splitlines()]
    assert [line["index"] for line in lines if "gap" not in line] == expected
    text = (await body(filled, format="csv", **query)).decode()
    rows = list(csv.reader(line for line in text.splitlines() if not line.startswith("#")))
    assert rows[0] == ["time", "index", "lead_i [mV]", "lead_ii [mV]"]
    assert [int(row[1]) for row in rows[1:]] == expected
    assert [float(row[2]) for row in rows[1:]] == [index * 0.5 - 1 for index in expected]
    assert "# gap: 50 frames from index 400: overrun" in text
    messages = decoded(await body(filled, format="cbor", **query))
    assert [i for m in messages if isinstance(m, Batch) for i in range(m.index, m.end)] == expected
    array = np.load(io.BytesIO(await body(filled, format="npy", **query)))
    assert array.dtype.names == ("epoch", "index", "utc_ns", "lead_i", "lead_ii")
    assert array["index"].tolist() == expected
    assert array["utc_ns"].tolist() == [START_NS + index * STEP_NS for index in expected]
    assert array["lead_ii"].tolist() == [index * -2.0 for index in expected]


def decoded(content: bytes) -> list[Batch | Gap]:
    """A CBOR sequence: cut up by a library that knows nothing of ours, and each item read by our codec."""
    file, messages = io.BytesIO(content), list[Batch | Gap]()
    while file.tell() < len(content):
        begin = file.tell()
        cbor2.CBORDecoder(file, read_size=1).decode()
        messages.append(codec.decode(content[begin : file.tell()]))
    return messages


async def test_points_are_the_least_and_the_greatest_and_lose_no_spike(filled: Relay, device: Peer) -> None:
    spike = batch(1000, 50, columns=2)
    spike.data[17, 0] = 30_000
    device.publish(topics.batch("bbb1", "ecg"), codec.encode(spike))
    await filled.came_to("bbb1/ecg", 1050)
    (epoch,) = json.loads(await body(filled, points=20))["epochs"]
    assert len(epoch["time"]) <= 20
    assert max(epoch["lead_i_max"]) == 30_000 * 0.5 - 1
    assert min(epoch["lead_i_min"]) == -1.0
    assert (min(epoch["lead_ii_min"]), max(epoch["lead_ii_max"])) == (-2.0 * 1049, 0.0), (
        "a negative scale turns it"
    )
    assert sum(epoch["delivered"]) == 1000
    rows = list(csv.DictReader(io.StringIO((await body(filled, points=20, format="csv")).decode())))
    greatest = [float(row["lead_i_max"]) for row in rows if row["lead_i_max"]]
    assert greatest == pytest.approx([value for value in epoch["lead_i_max"] if value is not None], rel=1e-5)
    array = np.load(io.BytesIO(await body(filled, points=20, format="npy")))
    assert array["index"].tolist() == epoch["index"]
    envelope = cbor2.loads(await body(filled, points=20, format="cbor"))
    assert envelope["n"] == len(epoch["time"])
    assert json.loads(await body(filled, points=2, last_frames=0))["epochs"] == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"from": "yesterday"}, "must be a time such as"),
        ({"from": "2026-11-25T12:00:00"}, "with its zone"),
        ({"from": "5", "last": "1s"}, "only one of"),
        ({"from": "5", "to": "4"}, "must not be later"),
        ({"epoch": "1"}, "belong together"),
        ({"count": "1"}, "belongs to epoch"),
        ({"before": "1"}, "belong to at"),
        ({"last": "1 fortnight"}, "a duration"),
        ({"last": "1e300"}, "at most a hundred years"),
        ({"points": "1"}, "greater than or equal to 2"),
        ({"points": "100000"}, "less than or equal to"),
        ({"points": "5", "format": "ndjson"}, "comes as"),
        ({"format": "xlsx"}, "'json', 'ndjson', 'csv', 'cbor' or 'npy'"),
        ({"form": "csv"}, "unknown key"),
        ({"last_frames": "-1"}, "greater than or equal to 0"),
        ({"epoch": "9" * 40, "index": "0"}, "less than or equal to"),
    ],
)
async def test_what_cannot_be_asked_is_answered_with_what_can(
    relay: Relay, device: Peer, query: dict[str, str], words: str
) -> None:
    device.publish(topics.batch("bbb1", "ecg"), codec.encode(batch(0, 10)))
    await relay.came_to("bbb1/ecg", 10)
    async with relay.session.get(relay.url + PATH, params=query) as answer:
        assert answer.status == 400
        text = await answer.text()
        assert words in text
        assert text.count("\n") == 1


async def test_a_stream_that_nobody_knows_is_not_found(relay: Relay) -> None:
    assert (await relay.session.get(relay.url + PATH)).status == 404


async def test_more_than_one_array_holds_is_refused(filled: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "NPY_BYTES", 10_000)
    assert b"ask for less" in await body(filled, status=413, format="npy")
    assert await body(filled, format="npy", last_frames=10)


async def test_the_history_survives_the_relay(mosquitto: Mosquitto, device: Peer, tmp_path: Path) -> None:
    history = {"directory": str(tmp_path / "h")}
    async with relay_at(mosquitto, history) as relay:
        await hears(relay, mosquitto)
        for index in range(0, 500, 50):
            device.publish(topics.batch("bbb1", "ecg"), codec.encode(batch(index, 50)))
        await relay.came_to("bbb1/ecg", 500)
    async with relay_at(mosquitto, history) as relay:
        assert await indices(relay) == list(range(500))
        assert (await relay.stream("bbb1/ecg") or {})["end"] == 500


async def test_a_frame_keeps_the_units_that_it_was_sampled_under(
    mosquitto: Mosquitto, device: Peer, tmp_path: Path
) -> None:
    """The device was given another amplifier, and the relay was restarted since."""
    history = {"directory": str(tmp_path / "h")}
    metas = {scale: {"v": 1, "revision": scale, "channels": [{"name": "ecg", "scale": scale}]} for scale in (2, 5)}
    async with relay_at(mosquitto, history) as relay:
        await hears(relay, mosquitto)
        for (revision, meta), index in zip(metas.items(), (0, 10), strict=True):
            device.publish(topics.meta("bbb1", "ecg"), json.dumps(meta).encode(), retain=True)
            message = replace(batch(index, 10), revision=revision)
            device.publish(topics.batch("bbb1", "ecg"), codec.encode(message))
        await relay.came_to("bbb1/ecg", 20)
    device.publish(topics.meta("bbb1", "ecg"), b"", retain=True)
    async with relay_at(mosquitto, history) as relay:
        frames = json.loads(await body(relay))["frames"]
        expected = [index * (2.0 if index < 10 else 5.0) for index in range(20)]
        assert [frame["values"]["ecg"] for frame in frames] == expected
        array = np.load(io.BytesIO(await body(relay, format="npy")))
        assert array["ecg"].tolist() == expected
        assert (await relay.stream("bbb1/ecg") or {})["meta"] == metas[5]
