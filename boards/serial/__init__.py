"""Serial instruments: port → framer → parser, one file for each kind.

`framers/` cut the bytes into frames, `parsers/` make rows of numbers of them, `decoder.py` puts both together
with the times of arrival; none of these does I/O. `port.py` and `source.py` are the shell around them, and
`simulated.py` offers instruments behind real pseudo-terminals.
"""

from boards.serial.board import SerialBoard
from boards.serial.counters import Counters
from boards.serial.options import SerialOptions
from boards.serial.source import SerialSource, open_serial_source

__all__ = ["Counters", "SerialBoard", "SerialOptions", "SerialSource", "open_serial_source"]
