"""What the relay knows of devices and streams."""

from __future__ import annotations

import json

import pytest

from gateway.model import Gap
from gateway.relay.catalogue import Catalogue
from tests.support.messages import batch


def test_a_stream_is_made_when_it_is_first_heard_of_and_kept() -> None:
    catalogue = Catalogue()
    state = catalogue.stream("d", "s")
    assert catalogue.stream("d", "s") is state
    assert (state.key, state.meta, state.epoch, state.end) == ("d/s", None, None, 0)


def test_delivered_and_lost_frames_are_counted_by_reason() -> None:
    state = Catalogue().stream("d", "s")
    for message in (
        batch(0, 10),
        Gap(1, 10, 5, "late"),
        batch(15, 10),
        Gap(1, 25, 2, "late"),
        Gap(1, 27, 1, "overrun"),
    ):
        state.count(message)
    assert (state.delivered, state.lost) == (20, {"late": 7, "overrun": 1})
    assert (state.epoch, state.end) == (1, 28)


def test_the_last_time_is_that_of_the_newest_frame() -> None:
    state = Catalogue().stream("d", "s")
    state.count(batch(500, 251))
    assert state.last_utc_ns == 1_700_000_000_000_000_000 + 1_500_000_000


def test_a_new_epoch_begins_anew_and_late_ones_of_the_old_change_nothing() -> None:
    state = Catalogue().stream("d", "s")
    state.count(batch(1000, 10, epoch=1))
    state.count(batch(0, 10, epoch=2))
    assert (state.epoch, state.end) == (2, 10)
    state.count(batch(1010, 10, epoch=1))
    assert (state.epoch, state.end) == (2, 10)


def test_a_batch_that_comes_late_does_not_turn_the_end_back() -> None:
    state = Catalogue().stream("d", "s")
    state.count(batch(10, 10))
    state.count(batch(0, 10))
    assert state.end == 20


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
    catalogue.stream("d", "z").count(batch(1, 1))
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
        "last_utc_ns": None,
    }
    assert (second["stream"], second["end"], second["delivered"]) == ("d/z", 2, 1)
    assert second["last_utc_ns"] == "1700000000002000000", "JavaScript would round a number of that size"
