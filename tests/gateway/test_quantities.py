"""Durations, sizes and rates as people write them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.quantities import format_rate, parse_duration, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("100ms", 0.1),
        ("250 us", 250e-6),
        ("40ns", 40e-9),
        ("1.5s", 1.5),
        ("5min", 300.0),
        ("2h", 7200.0),
        ("1d", 86_400.0),
        (" 2 s ", 2.0),
        (2, 2.0),
        (0.1, 0.1),
        (0.00002, 0.00002),
        ("3", 3.0),
    ],
)
def test_durations_are_seconds(text: Any, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256MiB", 256 << 20),
        ("2GB", 2 * 10**9),
        ("64KiB", 65_536),
        ("1.5kB", 1500),
        ("4 GiB", 4 << 30),
        ("10MB", 10**7),
        ("7B", 7),
        (4096, 4096),
        (1e6, 10**6),
    ],
)
def test_sizes_are_bytes(text: Any, size: int) -> None:
    assert parse_size(text) == size
    assert isinstance(parse_size(text), int)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        (500, Fraction(500)),
        (0.1, Fraction(1, 10)),
        ("1000/3", Fraction(1000, 3)),
        ("333.25", Fraction(1333, 4)),
        (" 50 ", Fraction(50)),
        (Fraction(7, 2), Fraction(7, 2)),
    ],
)
def test_rates_are_exact_frames_a_second(text: Any, rate: Fraction) -> None:
    assert parse_rate(text) == rate


NOT_NUMBERS: list[Any] = [
    None,
    True,
    False,
    [],
    {},
    b"1",
    "",
    " ",
    "fast",
    "nan",
    "inf",
    float("nan"),
    float("inf"),
]


@pytest.mark.parametrize(
    "value", [*NOT_NUMBERS, 0, "0s", -1, "-1s", "1 parsec", "1S", "s", "1,5s", "1.s", "1e999s", "40000d", 1e300]
)
def test_what_is_no_duration_is_refused_with_examples(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a duration such as '100ms', '2s' or '5min'"):
        parse_duration(value)


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0, "0B", -1, "1mb", "1 MiBs", 0.5, "0.9B", "1e400"])
def test_what_is_no_size_is_refused_with_examples(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a size such as '256MiB', '2GB' or a number of bytes"):
        parse_size(value)


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0, "0", 0.0, -5, "-1/2", "1/0", "500 Hz", "1//2", 1j])
def test_what_is_no_rate_is_refused_with_examples(value: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a rate in Hz above 0, such as 500, 0.5 or '1000/3'"):
        parse_rate(value)


@given(
    st.sampled_from([parse_duration, parse_size, parse_rate]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.text("0123456789.eE+-/kMGiBmsn", max_size=6),
)
def test_any_value_is_a_positive_quantity_or_refused(parse: Callable[[Any], Any], value: Any) -> None:
    try:
        quantity = parse(value)
    except ValueError:
        return
    assert 0 < quantity < float("inf")


@pytest.mark.parametrize(("rate", "text"), [(500, "500"), ("0.5", "0.5"), ("1000/3", "1000/3"), ("1e-7", "1e-07")])
def test_rates_are_written_as_people_write_them(rate: Any, text: str) -> None:
    assert format_rate(parse_rate(rate)) == text


@given(st.fractions(min_value=Fraction(1, 10**9), max_value=10**9))
def test_a_rate_that_was_written_is_read_back_exactly(rate: Fraction) -> None:
    assert parse_rate(format_rate(rate)) == rate
