"""The CBOR codec: golden bytes, read by plain cbor2 and numpy, and what it refuses."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.codec.cbor import CborCodec
from gateway.errors import CodecError
from gateway.model import Batch, Gap, Message
from tests.gateway.codec.hostile import damaged, decode_or_refuse
from tests.support.messages import DTYPES, batch, messages, same

codec = CborCodec()

REGULAR = Batch(
    epoch=0x1_0000_0002,
    index=1000,
    utc_ns=1_700_000_000_123_456_789,
    monotonic_ns=5_000_000_000,
    data=np.array([[1, -1], [4095, 0], [-32768, 32767]], dtype=np.int16),
    rate=Fraction(1000, 3),
    clock_error_ns=1_500_000,
    revision=1,
)
REGULAR_BYTES = bytes.fromhex(
    "a9"  # a map of nine
    "6176 01"  # "v": 1
    "6165 1b0000000100000002"  # "e"
    "6169 1903e8"  # "i"
    "6174 1b17979cfe3d85cd15"  # "t"
    "616d 1b000000012a05f200"  # "m"
    "6172 82 1903e8 03"  # "r": [1000, 3]
    "6171 1a0016e360"  # "q"
    "6163 01"  # "c"
    "6164 d828 82 82 03 02 d84d 4c 0100ffff ff0f0000 0080ff7f"  # "d": 40([[3, 2], 77(int16, little-endian)])
)

IRREGULAR = Batch(
    epoch=7,
    index=0,
    utc_ns=-1,
    monotonic_ns=0,
    data=np.array([[1.5], [-2.0]], dtype=np.float32),
    offsets_ns=np.array([0, 1_000_000_007], dtype=np.int64),
    revision=258,
)
IRREGULAR_BYTES = bytes.fromhex(
    "a9"
    "6176 01"
    "6165 07"
    "6169 00"
    "6174 20"  # "t": -1
    "616d 00"
    "6171 f6"  # "q": null: the clock is not synchronised
    "6163 190102"
    "6164 d828 82 82 02 01 d855 48 0000c03f 000000c0"  # "d": 40([[2, 1], 85(float32, little-endian)])
    "616f d84f 50 0000000000000000 07ca9a3b00000000"  # "o": 79(int64, little-endian)
)

GAP = Gap(epoch=0x1_0000_0002, index=1003, count=70_000, reason="outbox_full")
GAP_BYTES = bytes.fromhex(
    "a5 6176 01 6165 1b0000000100000002 6169 1903eb 616e 1a00011170 63776879 6b6f7574626f785f66756c6c"
)

GOLDEN: dict[str, tuple[Message, bytes]] = {
    "regular": (REGULAR, REGULAR_BYTES),
    "irregular": (IRREGULAR, IRREGULAR_BYTES),
    "gap": (GAP, GAP_BYTES),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bytes_on_the_wire_are_these(name: str) -> None:
    message, payload = GOLDEN[name]
    assert codec.encode(message).hex() == payload.hex()
    assert same(codec.decode(payload), message)


RFC_8746 = {69: "<u2", 72: "i1", 77: "<i2", 78: "<i4", 79: "<i8", 85: "<f4", 86: "<f8"}


def read_without_our_code(tag: cbor2.CBORTag) -> NDArray[Any]:
    """A typed array of RFC 8746, by somebody who knows nothing of Headwater."""
    if tag.tag == 40:
        shape, elements = tag.value
        return read_without_our_code(elements).reshape(shape)
    return np.frombuffer(tag.value, RFC_8746[tag.tag])


def test_plain_cbor2_and_numpy_read_a_batch() -> None:
    fields = cbor2.loads(REGULAR_BYTES)
    data = fields.pop("d")
    assert fields == {
        "v": 1,
        "e": 0x1_0000_0002,
        "i": 1000,
        "t": 1_700_000_000_123_456_789,
        "m": 5_000_000_000,
        "r": [1000, 3],
        "q": 1_500_000,
        "c": 1,
    }
    assert read_without_our_code(data).tolist() == [[1, -1], [4095, 0], [-32768, 32767]]
    assert read_without_our_code(data).dtype == np.int16


def test_plain_cbor2_and_numpy_read_an_irregular_batch() -> None:
    fields = cbor2.loads(IRREGULAR_BYTES)
    assert "r" not in fields
    assert fields["q"] is None
    assert read_without_our_code(fields["d"]).tolist() == [[1.5], [-2.0]]
    assert read_without_our_code(fields["o"]).tolist() == [0, 1_000_000_007]


def test_plain_cbor2_reads_a_gap() -> None:
    assert cbor2.loads(GAP_BYTES) == {
        "v": 1,
        "e": 0x1_0000_0002,
        "i": 1003,
        "n": 70_000,
        "why": "outbox_full",
    }


@given(messages())
def test_what_is_decoded_is_what_was_encoded(message: Message) -> None:
    assert same(codec.decode(codec.encode(message)), message)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_type_of_the_samples_is_kept(dtype: str) -> None:
    message = batch(0, 3)
    decoded = codec.decode(codec.encode(Batch(1, 0, 0, 0, message.data.astype(dtype), rate=Fraction(1))))
    assert isinstance(decoded, Batch)
    assert decoded.data.dtype == np.dtype(dtype)


def test_samples_go_out_frame_by_frame_however_they_lie_in_memory() -> None:
    wanted = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int16)
    wide = np.zeros((4, 6), dtype=np.int16)
    wide[::2, ::2] = wanted
    for data in (np.asfortranarray(wanted), wide[::2, ::2], wanted.astype(">i2")):
        payload = codec.encode(Batch(1, 0, 0, 0, data, rate=Fraction(1)))
        decoded = codec.decode(payload)
        assert isinstance(decoded, Batch)
        assert decoded.data.tolist() == wanted.tolist()


def test_samples_of_a_type_that_has_no_tag_are_refused() -> None:
    with pytest.raises(CodecError, match="complex128"):
        codec.encode(Batch(1, 0, 0, 0, np.zeros((1, 1), dtype=complex), rate=Fraction(1)))


def test_a_batch_costs_little_beside_its_samples() -> None:
    data = np.zeros((250, 1), dtype=np.int16)
    now = Batch(1 << 33, 10_000, 1_800_000_000_000_000_000, 10**12, data, rate=Fraction(500))
    longest = Batch((1 << 63) - 1, 1 << 62, now.utc_ns, 1 << 62, data, rate=Fraction(500), clock_error_ns=1 << 31)
    assert len(codec.encode(now)) - data.nbytes <= 72
    assert len(codec.encode(longest)) - data.nbytes <= 80


def changed(**fields: Any) -> bytes:
    """The regular batch with other fields; None leaves one out."""
    content = {**cbor2.loads(REGULAR_BYTES), **fields}
    return cbor2.dumps({key: value for key, value in content.items() if value is not ...})


def array(shape: Any, values: bytes = bytes(12), tag: int = 77) -> cbor2.CBORTag:
    return cbor2.CBORTag(40, [shape, cbor2.CBORTag(tag, values)])


def nested(levels: int) -> list[Any]:
    return [] if levels == 0 else [nested(levels - 1)]


WRONG = {
    "version unknown": (changed(v=2), "schema version 2 is not known here"),
    "version missing": (changed(v=...), "field 'v'"),
    "version a bool": (changed(v=True), "field 'v'"),
    "epoch negative": (changed(e=-1), "field 'e'"),
    "epoch too large": (changed(e=1 << 63), "field 'e'"),
    "epoch of six thousand digits": (changed(e=1 << 20_000), "field 'e'"),
    "index a float": (changed(i=1.0), "field 'i'"),
    "index beyond the last": (changed(i=(1 << 63) - 3), "field 'i'"),
    "time a text": (changed(t="now"), "field 't'"),
    "time a NaN": (changed(t=float("nan")), "field 't'"),
    "time that ends after the last": (changed(t=(1 << 63) - 1), "times of the frames"),
    "clock error negative": (changed(q=-1), "field 'q'"),
    "revision missing": (changed(c=...), "field 'c'"),
    "rate zero": (changed(r=[0, 1]), "field 'r'"),
    "rate of bools": (changed(r=[True, True]), "field 'r'"),
    "rate a number": (changed(r=500), "field 'r'"),
    "rate too slow for times": (changed(r=[1, 1 << 62]), "times of the frames"),
    "neither rate nor offsets": (changed(r=...), "'r' or the frames' offsets 'o'"),
    "rate nested": (changed(r=nested(300)), "field 'r'"),
    "reason unknown": (cbor2.dumps({"v": 1, "e": 1, "i": 0, "n": 1, "why": "weather"}), "field 'why'"),
    "reason nested": (cbor2.dumps({"v": 1, "e": 1, "i": 0, "n": 1, "why": nested(300)}), "field 'why'"),
    "gap of nothing": (cbor2.dumps({"v": 1, "e": 1, "i": 0, "n": 0, "why": "late"}), "field 'n'"),
    "gap beyond the last": (cbor2.dumps({"v": 1, "e": 1, "i": 5, "n": (1 << 63) - 5, "why": "late"}), "'n'"),
    "data plain bytes": (changed(d=bytes(12)), "tag 40"),
    "data a list": (changed(d=[[1, 2]]), "tag 40"),
    "data without shape": (changed(d=cbor2.CBORTag(40, [1])), "frames, channels"),
    "data of three dimensions": (changed(d=array([1, 3, 2])), "frames, channels"),
    "data big-endian": (changed(d=array([3, 2], tag=73)), "little-endian typed array"),
    "data of half floats": (changed(d=array([3, 2], tag=84)), "little-endian typed array"),
    "data of odd bytes": (changed(d=array([3, 2], bytes(11))), "11 bytes, not a multiple of 2"),
    "data too short": (changed(d=array([3, 2], bytes(10))), "5 values, not 3 x 2"),
    "shape of bools": (changed(d=array([True, True], bytes(2))), "frames, channels"),
    "shape negative": (changed(d=array([-3, -2])), "-3 x -2"),
    "shape of no channels": (changed(d=array([6, 0], b"")), "6 x 0"),
    "shape of no frames": (changed(d=array([0, 2], b"")), "0 x 2"),
    "shape of no frames of 2**62": (changed(d=array([0, 1 << 62], b"")), "0 x 4611686018427387904"),
    "shape of no frames of 2**20000": (changed(d=array([0, 1 << 20_000], b"")), "very large"),
    "shape huge": (changed(d=array([1 << 20_000, 1])), "very large"),
    "offsets too few": (changed(o=cbor2.CBORTag(79, bytes(16))), "field 'o'"),
    "offsets floats": (changed(o=cbor2.CBORTag(86, bytes(24))), "field 'o'"),
    "offsets beyond 63 bits": (changed(o=cbor2.CBORTag(71, b"\xff" * 24)), "times of the frames"),
    "not a map": (cbor2.dumps([1]), "must be a map"),
    "nothing": (b"", "not CBOR"),
    "cut off": (REGULAR_BYTES[:-1], "not CBOR"),
    "claims four exabytes": (bytes.fromhex("5b3fffffffffffffff"), "not CBOR"),
    "nested beyond reason": (b"\x81" * 100_000 + b"\x00", "not CBOR"),
    "json": (b'{"v": 1}', "must be a map|not CBOR"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_a_message_is_refused_with_the_reason(name: str) -> None:
    payload, reason = WRONG[name]
    with pytest.raises(CodecError, match=reason):
        codec.decode(payload)
    assert decode_or_refuse(codec, payload) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(payload: bytes) -> None:
    decode_or_refuse(codec, payload)


@given(damaged(codec))
def test_damaged_messages_are_a_message_or_refused(payload: bytes) -> None:
    decode_or_refuse(codec, payload)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=16),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.builds(cbor2.CBORTag, st.sampled_from([40, 64, 69, 77, 79, 85, 1000]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["v", "e", "i", "t", "m", "r", "q", "c", "d", "o", "n", "why"]), ANYTHING))
def test_any_fields_are_a_message_or_refused(fields: dict[str, Any]) -> None:
    decode_or_refuse(codec, changed(**fields))
