"""From frames to rows of numbers: one file for each format."""

from __future__ import annotations

import re
from collections.abc import Sequence

from boards.base import Channel
from boards.serial.options import SerialOptions
from boards.serial.parsers.base import Parser, Refusal, Row
from boards.serial.parsers.csv import CsvParser
from boards.serial.parsers.json import JsonParser
from boards.serial.parsers.nmea import NmeaParser
from boards.serial.parsers.regex import RegexParser
from boards.serial.parsers.struct import StructParser

__all__ = [
    "CsvParser",
    "JsonParser",
    "NmeaParser",
    "Parser",
    "Refusal",
    "RegexParser",
    "Row",
    "StructParser",
    "make_parser",
]


def make_parser(options: SerialOptions, channels: Sequence[Channel]) -> Parser:
    """The parser that the options choose; its rows have a number for each channel.

    A channel's `input` is the parser's name for the number: a column, group, key or field; by default it is
    the channel's own name. Raises UnknownInput for one that the parser can't have.
    """
    keys = [channel.input or channel.name for channel in channels]
    match options.parser:
        case "csv":
            return CsvParser(
                keys,
                in_order=all(key == channel.name for key, channel in zip(keys, channels, strict=True)),
                columns=options.columns,
                header=options.header,
                delimiter=options.delimiter,
                decimal=options.decimal,
                encoding=options.encoding,
            )
        case "regex":
            pattern = options.pattern or re.compile("")
            return RegexParser(keys, pattern=pattern, decimal=options.decimal, encoding=options.encoding)
        case "json":
            return JsonParser(keys, encoding=options.encoding)
        case "struct":
            return StructParser(keys, format=options.format or "", fields=options.fields)
        case "nmea":
            return NmeaParser(keys, sentence=options.sentence or "")
