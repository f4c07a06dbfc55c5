"""Moments as an address has them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.selection import LATEST_NS, parse_moment


@pytest.mark.parametrize(
    ("text", "utc_ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01t00:00:01z", 10**9),
        ("1970-01-01T01:00:00.000001+01:00", 1000),
        ("1970-01-01T01:00:00 01:00", 0),
        ("-5", -5),
        (5, 5),
        ("0001-01-01T00:00:00Z", -LATEST_NS),
        ("9999-12-31T23:59:59Z", LATEST_NS),
    ],
)
def test_moments_are_ns_since_1970_in_64_bits(text: Any, utc_ns: int) -> None:
    assert parse_moment(text) == utc_ns


@given(st.datetimes(timezones=st.timezones()))
def test_any_time_with_a_zone_is_exact_to_the_microsecond(moment: Any) -> None:
    assert parse_moment(moment.isoformat()) % 1000 in (0, LATEST_NS % 1000, -LATEST_NS % 1000)


@pytest.mark.parametrize("value", ["", "now", "2026-11-25T12:00:00", "9" * 19, True, None, 1.5])
def test_what_is_no_moment_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a time such as '2026-11-25T12:00:00Z', or ns since 1970"):
        parse_moment(value)
