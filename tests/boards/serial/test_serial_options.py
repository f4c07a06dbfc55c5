from __future__ import annotations

from typing import Any

import pytest

from boards import BadOption
from boards.options import parse_options
from boards.serial.options import SerialOptions


def parse(**values: Any) -> SerialOptions:
    return parse_options(SerialOptions, {"port": "/dev/ttyS1", **values}, "serial")


def test_a_port_is_all_that_must_be_given() -> None:
    options = parse()
    assert (options.baud, options.frame, options.parser, options.terminator_bytes) == (9600, "line", "csv", b"\n")


@pytest.mark.parametrize(
    ("values", "byte_us"),
    [
        ({"baud": 9600}, 1041.667),
        ({"baud": 1_000_000}, 10),
        ({"baud": 1_000_000, "parity": "even"}, 11),
        ({"baud": 1_000_000, "bytesize": 7, "parity": "odd", "stopbits": 2}, 11),
    ],
)
def test_a_byte_takes_its_start_data_parity_and_stop_bits(values: dict[str, Any], byte_us: float) -> None:
    assert parse(**values).byte_ns / 1000 == pytest.approx(byte_us, abs=0.001)


@pytest.mark.parametrize(("frame", "parser"), [("line", "csv"), ("struct", "struct"), ("cobs", "struct")])
def test_the_frame_says_the_usual_parser(frame: str, parser: str) -> None:
    assert parse(frame=frame, format="hh", sync="aa").parser == parser


def test_init_text_is_sent_byte_by_byte() -> None:
    assert parse(init="START\r\n\u00a5\u0001").init_bytes == b"START\r\n\xa5\x01"
    assert parse(init=b"\xff\x00").init_bytes == b"\xff\x00"


@pytest.mark.parametrize(("given", "used"), [("hh", "<hh"), (">hh", ">hh"), ("!hh", "!hh")])
def test_a_format_is_little_endian_and_unpadded_unless_it_says_otherwise(given: str, used: str) -> None:
    assert parse(frame="struct", sync="aa 55", format=given).format == used
    assert parse(frame="struct", sync="aa 55", format="bi").payload_size == 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": ""}, "serial: port: string should have at least 1 character"),
        ({"baut": 9600}, "unknown key; allowed here: .*did you mean 'baud'?"),
        ({"baud": 0}, "serial: baud: input should be greater than 0; found 0"),
        ({"frame": "lines"}, "serial: frame: input should be 'line', 'struct' or 'cobs'; found 'lines'"),
        ({"parse": "xml"}, "serial: parse: input should be 'csv', 'regex', 'json', 'struct' or 'nmea'"),
        ({"parse": "regex"}, "parse = 'regex' needs 'pattern'"),
        ({"parse": "struct"}, "parse = 'struct' needs 'format'"),
        ({"parse": "nmea"}, "parse = 'nmea' needs 'sentence'"),
        ({"parse": "nmea", "sentence": "gga"}, "serial: sentence: string should match"),
        ({"parse": "regex", "pattern": "T=(.*)"}, "pattern needs named groups"),
        ({"parse": "regex", "pattern": "("}, "serial: pattern: input should be a valid regular expression"),
        ({"frame": "struct", "format": "h"}, "frame = 'struct' needs 'sync'"),
        ({"frame": "struct", "sync": "aa", "parse": "json"}, "frame = 'struct' needs 'size' or 'format'"),
        ({"frame": "struct", "sync": "aa", "format": "h", "size": 3}, "size must be the format's own, 2"),
        ({"frame": "struct", "sync": "xy", "format": "h"}, "sync: must be bytes in hexadecimal"),
        ({"frame": "cobs", "format": "hq?z"}, "format: must be a format of Python's struct module"),
        ({"frame": "cobs", "format": "@l"}, "format: must be a format of Python's struct module"),
        ({"frame": "cobs", "format": "4x"}, "format: must hold at least one value"),
        ({"frame": "cobs", "format": "9999d"}, "at most 4096 bytes"),
        ({"crc": "crc8"}, "crc goes with frame = 'struct' or 'cobs'"),
        ({"crc": "crc-16"}, "serial: crc: input should be 'crc8', "),
        ({"encoding": "utf-9"}, "encoding: must be an encoding that Python knows"),
        ({"terminator": ""}, "terminator: must be 'lf', 'crlf', 'cr'"),
        ({"init": "€"}, "init: may hold characters up to U\\+00FF only"),
        ({"rtscts": True, "xonxoff": True}, "rtscts and xonxoff exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_and_the_message_says_what_can(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        parse(**values)
