"""Scan layouts against numpy's own aligned structures and against arithmetic done bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.errors import BoardError
from boards.iio.scan import TIMESTAMP, Element, ScanLayout, ScanType, value_names


def layout(*types: str, columns: list[str] | None = None) -> ScanLayout:
    elements = [Element(f"voltage{place}", place, ScanType.parse(text)) for place, text in enumerate(types)]
    return ScanLayout(elements, columns or [element.name for element in elements])


def scans(content: bytes) -> Any:
    return np.frombuffer(bytearray(content), np.uint8)


def test_a_type_is_read_as_the_kernel_writes_it() -> None:
    assert ScanType.parse("le:u12/16>>0\n") == ScanType(True, False, 12, 16)
    assert ScanType.parse("be:s24/32>>8") == ScanType(False, True, 24, 32, 1, 8)
    assert ScanType.parse("le:s16/16X4>>0") == ScanType(True, True, 16, 16, 4)
    assert ScanType.parse("be:u8/8") == ScanType(False, False, 8, 8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("u12/16", "not of the form"),
        ("le:u12/24>>0", "24 storage bits"),
        ("le:u12/16>>6", "do not fit"),
        ("le:u0/16>>0", "do not fit"),
        ("le:s16/16X3>>0", "repeats 3 times"),
    ],
)
def test_a_type_that_makes_no_sense_is_refused_by_its_text(text: str, says: str) -> None:
    with pytest.raises(BoardError, match=says):
        ScanType.parse(text)


def test_the_am335x_scan_is_one_array_of_int16() -> None:
    each = layout(*["le:u12/16>>0"] * 8)
    content = np.arange(24, dtype="<u2") | 0xF000  # the bits that are not valid may hold anything
    frames = each.frames(scans(content.tobytes()))
    assert frames.dtype == np.int16
    assert frames.tolist() == np.arange(24).reshape(3, 8).tolist()


def test_frames_do_not_change_when_the_buffer_is_used_again() -> None:
    each = layout("le:u12/16>>0", "le:u12/16>>0")
    content = scans(np.arange(4, dtype="<u2").tobytes())
    frames = each.frames(content)
    content[:] = 0
    assert frames.tolist() == [[0, 1], [2, 3]]


def test_each_value_lies_at_a_multiple_of_its_size_and_the_timestamp_at_one_of_8() -> None:
    elements = [
        Element("voltage0", 0, ScanType.parse("le:u8/8>>0")),
        Element("voltage1", 1, ScanType.parse("le:s32/32>>0")),
        Element("voltage2", 2, ScanType.parse("le:u8/8>>0")),
        Element(TIMESTAMP, 3, ScanType.parse("le:s64/64>>0")),
    ]
    expected = np.dtype([("a", "u1"), ("b", "<i4"), ("c", "u1"), ("t", "<i8")], align=True)
    content = np.array([(1, -2, 3, 10**18), (4, 5, 6, -7)], expected)
    each = ScanLayout(elements, ["voltage0", "voltage1", "voltage2"])
    assert each.size == expected.itemsize
    assert each.frames(scans(content.tobytes())).tolist() == [[1, -2, 3], [4, 5, 6]]
    assert each.stamps(scans(content.tobytes())).tolist() == [10**18, -7]


def test_the_order_in_memory_is_that_of_the_indices_and_the_order_of_columns_is_the_streams() -> None:
    elements = [
        Element("voltage5", 9, ScanType.parse("le:u12/16>>0")),
        Element("voltage2", 4, ScanType.parse("le:u12/16>>0")),
    ]
    content = scans(np.array([2, 5], "<u2").tobytes())
    assert ScanLayout(elements, ["voltage5", "voltage2"]).frames(content).tolist() == [[5, 2]]


def test_an_input_may_be_two_columns_and_an_element_none() -> None:
    content = scans(np.array([1, 2, 3], "<u2").tobytes())
    each = layout(*["le:u16/16>>0"] * 3, columns=["voltage2", "voltage0", "voltage2"])
    assert each.frames(content).tolist() == [[3, 1, 3]]


def test_a_repeated_element_is_one_column_for_each_repeat_and_aligned_as_a_whole() -> None:
    quaternion = Element("rot_quaternion", 1, ScanType.parse("le:s16/16X4>>0"))
    assert value_names(quaternion) == [f"rot_quaternion[{part}]" for part in range(4)]
    elements = [Element("voltage0", 0, ScanType.parse("le:u8/8>>0")), quaternion]
    each = ScanLayout(elements, ["rot_quaternion[3]", "rot_quaternion[0]", "voltage0"])
    content = bytes([9, *[0xEE] * 7]) + np.array([-1, 2, 3, -4], "<i2").tobytes()
    assert each.size == 16
    assert each.frames(scans(content)).tolist() == [[-4, -1, 9]]


def test_nothing_read_is_no_frames() -> None:
    assert layout("le:u12/16>>0", "be:s24/32>>8").frames(scans(b"")).shape == (0, 2)


@pytest.mark.parametrize(
    ("types", "dtype"),
    [
        (["le:u12/16>>0"], np.int16),
        (["le:u16/16>>0"], np.uint16),
        (["le:u16/16>>0", "le:s16/16>>0"], np.int32),
        (["be:s24/32>>8"], np.int32),
        (["le:u32/32>>0"], np.uint32),
        (["le:u32/32>>0", "le:s8/8>>0"], np.int64),
        (["le:u64/64>>0"], np.uint64),
    ],
)
def test_frames_have_the_narrowest_type_that_holds_every_column(types: list[str], dtype: Any) -> None:
    assert layout(*types).dtype == dtype


def test_what_no_type_holds_is_refused() -> None:
    with pytest.raises(BoardError, match="64-bit"):
        layout("le:u64/64>>0", "le:s64/64>>0")


@st.composite
def types_and_words(draw: st.DrawFn) -> tuple[list[str], list[int]]:
    types, words = [], []
    for _ in range(draw(st.integers(1, 6))):
        storage = draw(st.sampled_from([8, 16, 32]))
        bits = draw(st.integers(1, storage))
        shift = draw(st.integers(0, storage - bits))
        order, sign = draw(st.sampled_from(["le", "be"])), draw(st.sampled_from(["s", "u"]))
        types.append(f"{order}:{sign}{bits}/{storage}>>{shift}")
        words.append(draw(st.integers(0, (1 << storage) - 1)))
    return types, words


@given(types_and_words())
def test_any_mixture_of_types_is_decoded_as_arithmetic_says(case: tuple[list[str], list[int]]) -> None:
    types, words = case
    content, expected = bytearray(), []
    kinds = [ScanType.parse(text) for text in types]
    for kind, word in zip(kinds, words, strict=True):
        content += bytes(-len(content) % kind.size)
        content += word.to_bytes(kind.size, "little" if kind.little_endian else "big")
        value = word >> kind.shift & (1 << kind.bits) - 1
        expected.append(value - (1 << kind.bits) if kind.signed and value >> kind.bits - 1 else value)
    content += bytes(-len(content) % max(kind.size for kind in kinds))
    each = layout(*types)
    assert each.size == len(content)
    assert each.frames(scans(bytes(content) * 2)).tolist() == [expected, expected]
