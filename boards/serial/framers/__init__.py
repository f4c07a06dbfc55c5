"""From bytes to frames: one file for each way an instrument marks where a frame begins and ends."""

from __future__ import annotations

from boards.serial.crc import make_crc
from boards.serial.framers.base import Bad, Frame, Framer
from boards.serial.framers.cobs import CobsFramer
from boards.serial.framers.fixed import FixedFramer
from boards.serial.framers.line import LineFramer
from boards.serial.options import SerialOptions

__all__ = ["Bad", "CobsFramer", "FixedFramer", "Frame", "Framer", "LineFramer", "make_framer"]


def make_framer(options: SerialOptions) -> Framer:
    """The framer that the options choose."""
    crc = make_crc(options.crc) if options.crc else None
    if options.frame == "line":
        return LineFramer(options.terminator_bytes, options.max_length)
    if options.frame == "cobs":
        return CobsFramer(options.max_length, crc, options.crc_order)
    return FixedFramer(options.sync_bytes, options.payload_size, crc, options.crc_order, options.crc_covers)
