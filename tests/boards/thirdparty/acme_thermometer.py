"""A board by somebody else: an author's whole work, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from boards import Board, Channel, Input, PolledSource, SourceRequest


class AcmeThermometer(Board):
    """Two sensors, each read by one call."""

    name = "acme-thermometer"
    summary = "ACME's thermometer with two sensors"
    models = ("ACME Thermometer",)

    def inputs(self) -> Sequence[Input]:
        """In hundredths of a degree."""
        return [
            Input("inside", aliases=("T1",), unit="°C", scale=0.01, minimum=-40.0, maximum=85.0),
            Input("outside", aliases=("T2",), unit="°C", scale=0.01, minimum=-40.0, maximum=85.0),
        ]

    def maximum_rate(self, channels: int) -> Fraction:
        """A reading takes a millisecond."""
        return Fraction(1000, channels)

    def open_source(self, request: SourceRequest) -> PolledSource:
        """A source of those channels."""
        self.check(request)
        return AcmeSource(request)


class AcmeSource(PolledSource):
    """Reads the sensors one after the other."""

    def read_raw(self, channel: Channel) -> int:
        """Hundredths of a degree."""
        return 2150 if channel.input in ("inside", "T1") else -320
