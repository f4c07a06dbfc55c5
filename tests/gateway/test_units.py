"""Units: what sensors are configured with, and what is a slip of the keyboard."""

from __future__ import annotations

import pytest

from gateway.units import check_unit


@pytest.mark.parametrize(
    "unit",
    ["", "mV", "V", "µV", "uV", "%", "°C", "m/s2", "m/s^2", "mg/dL", "kPa", "1/min", "{beats}/min", "bpm", "kOhm",
     "Hz", "nT", "mmHg", "%RH", "km/h", "{whatever}", "W/m2", "g0", "count", "dBm", "m.s-1"],
)  # fmt: skip
def test_units_of_sensors_are_known(unit: str) -> None:
    assert check_unit(unit) == unit


@pytest.mark.parametrize(
    ("unit", "hint"),
    [("mvolt", "'mvolt' is neither"), ("mVV", "did you mean 'mV'"), ("m//s", "'' is neither"), ("{x", "braces"),
     ("foo/s", "'foo' is neither")],
)  # fmt: skip
def test_others_are_refused_with_what_is_near(unit: str, hint: str) -> None:
    with pytest.raises(ValueError, match="is not known") as caught:
        check_unit(unit)
    assert hint in str(caught.value)
