"""The JSON beside a stream's batches."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gateway.meta import channels_of, latest_of, meta_of
from gateway.model import Batch, Channel, Stream

STREAM = Stream(
    "bbb1",
    "ecg",
    (Channel("lead_i", "mV", 0.0011, -1.65, "P9_39"), Channel("raw", input="P9_40")),
    Fraction(1000, 3),
    revision=4,
)


def test_meta_says_how_to_read_the_batches() -> None:
    assert json.loads(json.dumps(meta_of(STREAM))) == {
        "v": 1,
        "revision": 4,
        "stream": "ecg",
        "rate": [1000, 3],
        "dtype": "int16",
        "codec": "cbor",
        "channels": [
            {"name": "lead_i", "unit": "mV", "scale": 0.0011, "offset": -1.65, "input": "P9_39"},
            {"name": "raw", "unit": "", "scale": 1.0, "offset": 0.0, "input": "P9_40"},
        ],
    }


def test_the_meta_of_an_irregular_stream_has_no_rate() -> None:
    assert meta_of(Stream("d", "s", (), None))["rate"] is None


def test_latest_is_the_last_frame_in_physical_units_with_its_own_time() -> None:
    data = np.array([[0, 1], [2000, 4095]], dtype=np.int16)
    batch = Batch(9, 100, 1_700_000_000_000_000_000, 0, data, rate=Fraction(2))
    assert json.loads(json.dumps(latest_of(STREAM, batch))) == {
        "v": 1,
        "t": "2023-11-14T22:13:20.500Z",
        "e": 9,
        "i": 101,
        "values": {"lead_i": 0.55, "raw": 4095.0},
        "units": {"lead_i": "mV", "raw": ""},
    }


def test_what_is_not_a_number_is_null_in_latest() -> None:
    data = np.array([[np.nan, np.inf]], dtype=np.float32)
    content = latest_of(STREAM, Batch(9, 0, 0, 0, data, rate=Fraction(2)))
    assert content["values"] == {"lead_i": None, "raw": None}
    json.dumps(content, allow_nan=False)


def test_channels_come_back_from_the_wire() -> None:
    assert channels_of(json.loads(json.dumps(meta_of(STREAM)))) == STREAM.channels


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"channels": None},
        {"channels": 5},
        {"channels": "ab"},
        {"channels": {"a": 1}},
        {"channels": [{}]},
        {"channels": [{"name": "a"}, None]},
        {"channels": [{"name": "a", "scale": "big"}]},
        {"channels": [{"name": "a", "scale": []}]},
        {"channels": [{"name": "a", "offset": 10**400}]},
    ],
)
def test_a_meta_that_is_not_ours_names_no_channels(meta: dict[str, Any]) -> None:
    assert channels_of(meta) == ()
