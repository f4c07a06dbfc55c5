"""The JSON codec, and the JSON objects that come beside a stream."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec.json import JsonCodec, json_object
from gateway.errors import CodecError
from gateway.model import Batch, Gap, Message
from tests.gateway.codec.hostile import damaged, decode_or_refuse
from tests.support.messages import messages, same

codec = JsonCodec()

BATCH = Batch(
    epoch=3,
    index=1000,
    utc_ns=1_700_000_000_123_456_789,
    monotonic_ns=5_000_000_000,
    data=np.array([[1, -1], [4095, 0]], dtype=np.int16),
    rate=Fraction(500),
)
BATCH_TEXT = (
    '{"v":1,"e":3,"i":1000,"t":1700000000123456789,"m":5000000000,"r":[500,1],"q":null,"c":1,'
    '"k":"int16","d":[[1,-1],[4095,0]]}'
)


def test_a_batch_is_this_text() -> None:
    assert codec.encode(BATCH).decode() == BATCH_TEXT
    assert same(codec.decode(BATCH_TEXT.encode()), BATCH)


def test_a_gap_is_this_text() -> None:
    gap = Gap(3, 1002, 70, "overrun")
    text = '{"v":1,"e":3,"i":1002,"n":70,"why":"overrun"}'
    assert codec.encode(gap).decode() == text
    assert codec.decode(text.encode()) == gap


def finite(message: Message) -> Message:
    """What can be expected back: JSON has no infinities."""
    if isinstance(message, Gap) or message.data.dtype.kind != "f":
        return message
    data = np.where(np.isfinite(message.data), message.data, np.nan).astype(message.data.dtype)
    kept = (message.epoch, message.index, message.utc_ns, message.monotonic_ns, data, message.rate)
    return Batch(*kept, message.clock_error_ns, message.offsets_ns, message.revision)


@given(messages())
def test_what_is_decoded_is_what_was_encoded(message: Message) -> None:
    assert same(codec.decode(codec.encode(message)), finite(message))


@given(messages())
def test_what_is_encoded_is_json_for_everybody(message: Message) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON (RFC 8259, section 6)")

    json.loads(codec.encode(message), parse_constant=refuse)


def test_floats_that_are_not_finite_are_null_and_come_back_as_nan() -> None:
    data = np.array([[1.5], [np.nan], [np.inf], [-np.inf]], dtype=np.float32)
    payload = codec.encode(Batch(1, 0, 0, 0, data, rate=Fraction(1)))
    assert b'"d":[[1.5],[null],[null],[null]]' in payload
    decoded = codec.decode(payload)
    assert isinstance(decoded, Batch)
    assert np.isnan(decoded.data[1:]).all()


def test_samples_of_a_type_that_could_not_be_read_back_are_refused() -> None:
    with pytest.raises(CodecError, match="float16"):
        codec.encode(Batch(1, 0, 0, 0, np.zeros((1, 1), dtype=np.float16), rate=Fraction(1)))


def changed(**fields: Any) -> bytes:
    content = {**json.loads(BATCH_TEXT), **fields}
    return json.dumps({key: value for key, value in content.items() if value is not ...}).encode()


WRONG = {
    "version unknown": (changed(v=2), "schema version 2"),
    "index a bool": (changed(i=True), "field 'i'"),
    "index a float": (changed(i=1.0), "field 'i'"),
    "rate missing": (changed(r=...), "'r' or the frames' offsets 'o'"),
    "type missing": (changed(k=...), "samples must be of type"),
    "type unknown": (changed(k="int12"), "int12"),
    "type of a class": (changed(k="object"), "object"),
    "data text": (changed(d=[["1", "2"]]), "'1' is not a number of type int16"),
    "data bools": (changed(d=[[True, False]]), "True is not a number"),
    "data null": (changed(d=[[None, 1]]), "None is not a number"),
    "data fractions": (changed(d=[[1.5, 2.0]]), "1.5 is not a number of type int16"),
    "data out of range": (changed(d=[[40_000, 1]]), "40000 is not a number of type int16"),
    "data out of the float's range": (changed(k="float32", d=[[1e300]]), "not a number of type float32"),
    "data beyond any float": (changed(k="float64", d=[[10**400]]), "not a number of type float64"),
    "data ragged": (changed(d=[[1, 2], [3]]), "as many values in each frame"),
    "data flat": (changed(d=[1, 2]), "lists of numbers"),
    "data of three dimensions": (changed(d=[[[1]]]), "is not a number"),
    "data an object": (changed(d={"a": 1}), "lists of numbers"),
    "no frames": (changed(d=[]), "at least one of each"),
    "no channels": (changed(d=[[], []]), "at least one of each"),
    "offsets too few": (changed(o=[0]), "field 'o'"),
    "offsets fractions": (changed(o=[0, 1.5]), "field 'o'"),
    "offsets a number": (changed(o=1), "field 'o'"),
    "a number that is none": (BATCH_TEXT.replace("4095", "NaN").encode(), "NaN is not a number of JSON"),
    "infinity": (BATCH_TEXT.replace("4095", "-Infinity").encode(), "-Infinity is not a number of JSON"),
    "beyond every float": (BATCH_TEXT.replace("4095", "1e999").encode(), "1e999 is too large"),
    "six thousand digits": (BATCH_TEXT.replace("4095", "9" * 6000).encode(), "not JSON"),
    "nested": (changed(v=json.loads("[" * 40 + "]" * 40)), "nested more than 32 deep"),
    "nested beyond reason": (b'{"v":' + b"[" * 100_000, "not JSON"),
    "not an object": (b"[1]", "must be a JSON object, not list"),
    "not text": (b"\xff\xfe\xfd", "not JSON"),
    "cut off": (BATCH_TEXT[:-1].encode(), "not JSON"),
    "nothing": (b"", "not JSON"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("error")
def test_what_is_not_a_message_is_refused_with_the_reason(name: str) -> None:
    payload, reason = WRONG[name]
    with pytest.raises(CodecError, match=reason):
        codec.decode(payload)
    assert decode_or_refuse(codec, payload) is None


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_message_or_refused(payload: bytes) -> None:
    decode_or_refuse(codec, payload)


@given(damaged(codec))
def test_damaged_messages_are_a_message_or_refused(payload: bytes) -> None:
    decode_or_refuse(codec, payload)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["v", "e", "i", "t", "m", "r", "q", "c", "d", "k", "o", "n", "why"]), ANYTHING)
)
def test_any_fields_are_a_message_or_refused(fields: dict[str, Any]) -> None:
    decode_or_refuse(codec, changed(**fields))


@given(ANYTHING)
def test_an_object_that_was_read_can_be_written_for_everybody(value: Any) -> None:
    payload = json.dumps({"meta": value}).encode()
    try:
        content = json_object(payload)
    except CodecError:
        return
    json.dumps(content, allow_nan=False)
