"""Linux industrial I/O, straight from the kernel's interface.

sysfs      the device's files              scan       a scan's layout, and its decoding
options    what can be set                 stamps     numbering frames by their time stamps
capture    buffered capture                arrivals   numbering frames without any
polled     one value at a time             resample   from the device's rate to the stream's
board      the board                       am335x     how fast the BeagleBone's converter runs
"""

from boards.iio.board import IioBoard

__all__ = ["IioBoard"]
