"""Serial instruments as a board, for the registry and for whoever has nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serial.tools import list_ports

from boards.base import Board, Input, SampleSource, SourceRequest
from boards.options import parse_options
from boards.serial.options import SerialOptions
from boards.serial.parsers import make_parser
from boards.serial.source import open_serial_source


class SerialBoard(Board):
    """One serial instrument. A stream with a `[stream.serial]` table needs no such board: it may stand beside any.

    The board's options are those of the instrument, and a request's options override them.
    """

    name = "serial"
    summary = "Instruments on serial ports: lines, packed structs and COBS; CSV, JSON, NMEA, patterns"

    def inputs(self) -> Sequence[Input]:
        """The columns, groups or fields that the options name; none where only the data shows them."""
        if not self.options:
            return ()
        options = parse_options(SerialOptions, self.options, "serial")
        return [Input(name, unit="") for name in make_parser(options, ()).columns]

    def check(self, request: SourceRequest) -> None:
        """Refuse a rate, wrong options, and inputs that the parser can't have."""
        self.open_source(request)

    def open_source(self, request: SourceRequest) -> SampleSource:
        """The instrument; request and board options together must name its port."""
        return open_serial_source(request, {**self.options, **request.options})

    def describe(self) -> dict[str, Any]:
        """The board, and the ports that this machine has."""
        return {"name": self.name, "ports": [str(port.device) for port in sorted(list_ports.comports())]}
