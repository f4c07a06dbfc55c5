"""Units of measurement: a small part of UCUM (the Unified Code for Units of Measure), as sensors need it.

A unit is base units with an SI prefix and an exponent, joined by `/`, `.` or `*`: `mV`, `m/s2`, `mg/dL`. What
stands in braces is taken as it is: `{beats}/min`.
"""

from __future__ import annotations

import re

from boards.options import did_you_mean

PREFIXES = ("Y", "Z", "E", "P", "T", "G", "M", "k", "h", "da", "d", "c", "m", "u", "µ", "μ", "n", "p", "f", "a")
METRIC = frozenset(
    """
    V A W J N Pa Hz s m g K Ohm Ω ohm F H C S T Wb lm lx cd mol L l bar eV Bq Gy Sv B dB rad sr Wh Ah VA var
    G sps bit byte
    """.split()  # noqa: SIM905 - as people read it
)
"""Units that take a prefix."""
OTHER = frozenset(
    """
    1 % ‰ ppm ppb count counts °C Cel degC °F degF ° deg min h d rpm bpm mmHg psi atm inHg pH RH %RH g0
    in ft yd mi kn kt km/h mph lbf lb oz NTU dBm dBV dBA dBFS LSB raw
    """.split()  # noqa: SIM905
)
"""Units that stand as they are."""

_ANNOTATION = re.compile(r"\{[^{}]*\}")
_TERM = re.compile(r"([^0-9^+-]+|1)\^?([+-]?[0-9]{1,2})?")


def check_unit(unit: str) -> str:
    """Return a unit that is known, or none; raises ValueError saying what is near and what is allowed."""
    for term in re.split(r"[/.*·]", _ANNOTATION.sub("1", unit)) if unit and unit not in OTHER else ():
        match = _TERM.fullmatch(term)
        if term not in OTHER and (match is None or not _known(match[1])):
            near = did_you_mean(unit, sorted(METRIC | OTHER | {f"m{name}" for name in METRIC}))
            raise ValueError(
                f"unit {unit!r} is not known: {term!r} is neither a unit nor a prefix and a unit{near}; "
                f"what no table holds goes into braces, such as '{{beats}}/min'"
            )
    return unit


def _known(name: str) -> bool:
    if name in METRIC or name in OTHER:
        return True
    return any(name.startswith(prefix) and name[len(prefix) :] in METRIC for prefix in PREFIXES)
