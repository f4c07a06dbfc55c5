"""What the relay knows of devices and streams."""

from __future__ import annotations

import json

import pytest

from gateway.codec import CODECS
from gateway.relay.catalogue import Catalogue
from tests.support.messages import batch


def test_a_stream_is_made_when_it_is_first_heard_of_and_kept() -> None:
    catalogue = Catalogue()
    state = catalogue.stream("d", "s")
    assert catalogue.stream("d", "s") is state
    assert (state.key, state.meta, state.intake.epoch, state.intake.end) == ("d/s", None, None, 0)


@pytest.mark.parametrize(
    ("meta", "codec"),
    [
        (None, "cbor"),
        ({}, "cbor"),
        ({"codec": "json"}, "json"),
        ({"codec": "pickle"}, "cbor"),
        ({"codec": []}, "cbor"),
    ],
)
def test_the_codec_is_what_the_meta_says_if_there_is_such_a_codec(
    meta: dict[str, object] | None, codec: str
) -> None:
    state = Catalogue().stream("d", "s")
    state.meta = meta
    assert state.codec == codec


def test_a_device_is_online_as_long_as_it_says_so() -> None:
    catalogue = Catalogue()
    assert not catalogue.online("d")
    assert catalogue.status("d") is None
    catalogue.statuses["d"] = {"online": True}
    assert catalogue.online("d")
    catalogue.statuses["d"] = {"online": False}
    assert not catalogue.online("d")


def test_the_listing_is_json_in_order_of_the_names_with_exact_times() -> None:
    catalogue = Catalogue()
    catalogue.stream("d", "z").intake.take(CODECS["cbor"].encode(batch(1, 1)))
    catalogue.stream("d", "a").meta = {"codec": "cbor"}
    catalogue.statuses["d"] = {"online": True}
    first, second = json.loads(json.dumps(catalogue.listing()))
    assert first == {
        "stream": "d/a",
        "device": "d",
        "name": "a",
        "online": True,
        "meta": {"codec": "cbor"},
        "epoch": None,
        "end": 0,
        "delivered": 0,
        "lost": {},
        "duplicates": 0,
        "holes": [],
        "last_utc_ns": None,
        "undecodable": 0,
    }
    assert (second["stream"], second["end"], second["delivered"]) == ("d/z", 2, 1)
    assert second["last_utc_ns"] == "1700000000002000000", "JavaScript would round a number of that size"
