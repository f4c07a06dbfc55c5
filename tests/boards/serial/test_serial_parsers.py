"""Frames to rows. Any bytes give a row of finite numbers, a refusal, or nothing, and never an exception."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards import Channel, UnknownInput
from boards.serial.options import SerialOptions
from boards.serial.parsers import (
    CsvParser,
    JsonParser,
    NmeaParser,
    Parser,
    Refusal,
    RegexParser,
    StructParser,
    make_parser,
)
from boards.serial.parsers.base import number
from boards.serial.parsers.nmea import SENTENCES, sentence

PARSERS: dict[str, Callable[[], Parser]] = {
    "csv": lambda: CsvParser(["1", "2"]),
    "csv by header": lambda: CsvParser(["a", "b"], header=True),
    "csv by blanks": lambda: CsvParser(["2"], delimiter=" "),
    "regex": lambda: RegexParser(["t"], pattern=re.compile(r"T=(?P<t>\S+)|(?P<u>U)")),
    "json": lambda: JsonParser(["a", "b.0.c"]),
    "struct": lambda: StructParser(["1", "2"], format="<fd"),
    "nmea": lambda: NmeaParser(["lat", "lon", "time", "1"], sentence="GGA"),
    "nmea with variation": lambda: NmeaParser(["valid", "variation"], sentence="RMC"),
}

nearly_text = st.text(
    st.sampled_from('0123456789+-.,eE_ \t"{}[]:abNSWAV*$=TU') | st.characters(), max_size=60
).map(lambda text: text.encode("utf-8", "replace"))


@pytest.mark.parametrize("make", PARSERS.values(), ids=PARSERS)
@given(frames=st.lists(st.one_of(nearly_text, st.binary(max_size=60)), max_size=5))
def test_any_bytes_give_finite_numbers_a_refusal_or_nothing(
    make: Callable[[], Parser], frames: list[bytes]
) -> None:
    parser = make()
    for frame in frames:
        row = parser.parse(frame)
        if row is not None and not isinstance(row, Refusal):
            assert all(math.isfinite(value) for value in row)


nmea_cells = st.lists(
    st.sampled_from(["", "A", "V", "N", "S", "E", "W", "4807.038", "-1", "9e9", "123519.5", "x"])
)


@given(cells=nmea_cells, name=st.sampled_from(sorted(SENTENCES)), talker=st.sampled_from(["GP", "GN", ""]))
def test_any_checked_sentence_gives_finite_numbers_or_a_refusal(cells: list[str], name: str, talker: str) -> None:
    parser = NmeaParser(list(SENTENCES[name]), sentence=name)
    row = parser.parse(sentence(",".join([talker + name, *cells])))
    assert row is not None
    assert isinstance(row, Refusal) or all(math.isfinite(value) for value in row)


@pytest.mark.parametrize(
    "frame", [b"[" * 60_000, b'{"a":' * 10_000, b"1" * 60_000, b'{"a":' + b"9" * 60_000 + b"}"]
)
def test_frames_made_to_overwhelm_are_refused(frame: bytes) -> None:
    for make in PARSERS.values():
        assert isinstance(make().parse(frame), Refusal)


@pytest.mark.parametrize("text", ["1", "-1", "+1.5", ".5", "5.", " 7 ", "1e3", "1.5E-3", "007"])
def test_numbers_are_read(text: str) -> None:
    assert number(text) == float(text)


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-Infinity", "1_000", "0x10", "\u0661", "1e999", "1,5", "--1", "1 2", "e5"]
)
def test_what_is_not_a_finite_decimal_number_is_refused(text: str) -> None:
    assert isinstance(number(text), Refusal)


class TestCsv:
    def test_columns_are_found_by_position_from_one(self) -> None:
        assert CsvParser(["3", "1"]).parse(b"1,2,3,4") == [3, 1]

    def test_columns_are_found_by_declared_name(self) -> None:
        parser = CsvParser(["pulse", "spo2"], columns=["time", "spo2", "pulse"])
        assert parser.parse(b"x, 98.5 ,72") == [72, 98.5]

    def test_columns_are_found_by_a_header_line_wherever_it_stands(self) -> None:
        parser = CsvParser(["b"], header=True)
        assert isinstance(parser.parse(b"1,2"), Refusal)
        assert parser.parse(b'"a", "b"') is None
        assert parser.parse(b"1,2") == [2]
        assert parser.parse(b"b,a") is None
        assert parser.parse(b"1,2") == [1]

    def test_channels_take_the_columns_in_order_where_nothing_names_them(self) -> None:
        assert CsvParser(["spo2", "pulse"], in_order=True).parse(b"98,72") == [98, 72]

    def test_a_row_with_another_number_of_columns_than_declared_is_refused(self) -> None:
        parser = CsvParser(["a"], columns=["a", "b"])
        assert parser.parse(b"1") == Refusal("1 columns, not 2")
        assert parser.parse(b"1,2,3") == Refusal("3 columns, not 2")

    def test_a_row_without_the_highest_column_is_refused(self) -> None:
        assert CsvParser(["3"]).parse(b"1,2") == Refusal("2 columns, not 3 or more")

    @pytest.mark.parametrize(("delimiter", "line"), [(";", b"1;2,5"), ("\t", b"1\t2,5"), (" ", b" 1   2,5 ")])
    def test_delimiter_and_decimal_sign_are_settable(self, delimiter: str, line: bytes) -> None:
        assert CsvParser(["2"], delimiter=delimiter, decimal=",").parse(line) == [2.5]

    def test_a_missing_value_is_refused(self) -> None:
        assert CsvParser(["2"]).parse(b"1,,3") == Refusal("a value is missing")

    def test_an_unknown_column_is_refused_when_the_parser_is_made(self) -> None:
        with pytest.raises(UnknownInput, match="no column 'c'; there are a, b, or positions from 1"):
            CsvParser(["c"], columns=["a", "b"])
        with pytest.raises(UnknownInput, match="no column '3'"):
            CsvParser(["3"], columns=["a", "b"])

    def test_bytes_that_are_not_in_the_encoding_are_refused(self) -> None:
        assert isinstance(CsvParser(["1"]).parse(b"1,\xff"), Refusal)
        assert CsvParser(["1"], encoding="latin-1").parse(b"1,\xff") == [1]


class TestRegex:
    def test_named_groups_are_the_channels(self) -> None:
        parser = RegexParser(["rh", "t"], pattern=re.compile(r"T=(?P<t>[^ ]+)C.*RH=(?P<rh>[^%]+)%"))
        assert parser.parse(b"#12 T=-21.5C RH=40%") == [40, -21.5]

    def test_a_line_without_the_pattern_is_refused(self) -> None:
        parser = RegexParser(["t"], pattern=re.compile("T=(?P<t>.*)"))
        assert parser.parse(b"ready") == Refusal("the pattern is not in 'ready'")

    def test_a_group_that_took_no_part_is_refused(self) -> None:
        parser = RegexParser(["t"], pattern=re.compile("T=(?P<t>[0-9]+)?"))
        assert parser.parse(b"T=") == Refusal("a value is missing")

    def test_an_unknown_group_is_refused_when_the_parser_is_made(self) -> None:
        with pytest.raises(UnknownInput, match="no group 'x'; it has t"):
            RegexParser(["x"], pattern=re.compile("(?P<t>.)"))


class TestJson:
    @pytest.mark.parametrize(
        ("key", "value"),
        [("t", 21.5), ("on", 1), ("imu.accel.1", -2), ("text", 7), ("dotted.key", 3), ("big", 2**60)],
    )
    def test_keys_and_paths_are_the_channels(self, key: str, value: float) -> None:
        document = {"t": 21.5, "on": True, "imu": {"accel": [1, -2]}, "text": " 7 ", "dotted.key": 3, "big": 2**60}
        assert JsonParser([key]).parse(json.dumps(document).encode()) == [value]

    @pytest.mark.parametrize(
        "frame", [b"{}", b'{"a":null}', b'{"a":[1]}', b'{"a":NaN}', b'{"a":1e999}', b'{"a":"x"}', b"7", b"{", b""]
    )
    def test_what_has_no_number_at_the_key_is_refused(self, frame: bytes) -> None:
        assert isinstance(JsonParser(["a"]).parse(frame), Refusal)

    def test_an_integer_too_large_for_a_float_is_refused(self) -> None:
        assert JsonParser(["a"]).parse(b'{"a":%s}' % (b"9" * 400)) == Refusal("the number at 'a' is too large")


class TestStruct:
    def test_fields_are_found_by_name_and_position(self) -> None:
        parser = StructParser(["z", "1"], format="<hxhB", fields=["x", "y", "z"])
        assert parser.parse(struct.pack("<hxhB", -1, 2, 255)) == [255, -1]

    @pytest.mark.parametrize(
        ("format", "keys", "dtype"),
        [
            ("<3h", ["1", "3"], "int16"),
            ("<Ihh", ["2", "3"], "int16"),
            ("<Ihh", ["1", "2"], "int64"),
            ("<Hh", ["1", "2"], "int32"),
            ("<?B", ["1", "2"], "uint8"),
            ("<hf", ["1", "2"], "float32"),
            ("<if", ["1", "2"], "float64"),
            ("<3s2ch", ["4"], "int16"),
            ("<e", ["1"], "float32"),
        ],
    )
    def test_rows_have_the_smallest_type_that_holds_the_fields(
        self, format: str, keys: list[str], dtype: str
    ) -> None:
        assert np.dtype(StructParser(keys, format=format).dtype) == dtype

    @given(values=st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 255)))
    def test_integers_come_back_exactly(self, values: tuple[int, int]) -> None:
        parser = StructParser(["1", "2"], format=">qB")
        row = parser.parse(struct.pack(">qB", *values))
        assert np.array([row], dtype=parser.dtype).tolist() == [list(values)]

    def test_another_size_and_values_that_are_not_finite_are_refused(self) -> None:
        parser = StructParser(["1"], format="<f")
        assert parser.parse(b"abc") == Refusal("3 bytes, not 4")
        assert parser.parse(struct.pack("<f", math.nan)) == Refusal("a value is not finite")

    def test_what_the_format_cannot_give_is_refused_when_the_parser_is_made(self) -> None:
        with pytest.raises(UnknownInput, match="no field 'q'; fields are x, y"):
            StructParser(["q"], format="<hh", fields=["x", "y"])
        with pytest.raises(UnknownInput, match="has 2 values, but there are 1 fields"):
            StructParser(["x"], format="<hh", fields=["x"])
        with pytest.raises(UnknownInput, match="'1' of format '<4s' is not a number"):
            StructParser(["1"], format="<4s")


class TestNmea:
    GGA = b"$GPGGA,123519,4807.038,N,01131.000,W,1,08,0.9,545.4,M,46.9,M,,*55"

    def test_named_fields_are_converted(self) -> None:
        parser = NmeaParser(["time", "lat", "lon", "satellites", "altitude"], sentence="GGA")
        row = parser.parse(self.GGA)
        assert row == pytest.approx([12 * 3600 + 35 * 60 + 19, 48.1173, -11.516667, 8, 545.4])

    def test_positions_count_from_one(self) -> None:
        assert NmeaParser(["7", "9"], sentence="GPGGA").parse(self.GGA) == [8, 545.4]

    def test_the_checksum_is_verified_in_either_case(self) -> None:
        parser = NmeaParser(["quality"], sentence="GGA")
        assert isinstance(parser.parse(self.GGA.replace(b"*55", b"*56")), Refusal)
        assert isinstance(parser.parse(self.GGA.replace(b"4807", b"4808")), Refusal)
        assert isinstance(parser.parse(self.GGA[:-3]), Refusal)
        other = sentence("GPGGA,1,,,,,1,0")
        assert parser.parse(other) == parser.parse(other[:-2] + other[-2:].lower()) == [1]

    def test_other_sentences_are_no_rows_and_other_talkers_are_only_if_unnamed(self) -> None:
        vtg = sentence("GPVTG,054.7,T,034.4,M,005.5,N,010.2,K")
        assert NmeaParser(["lat"], sentence="GGA").parse(vtg) is None
        assert NmeaParser(["kmh"], sentence="GNVTG").parse(vtg) is None
        assert NmeaParser(["kmh"], sentence="VTG").parse(vtg) == [10.2]

    def test_a_sentence_without_a_fix_is_refused(self) -> None:
        assert NmeaParser(["lat"], sentence="GGA").parse(sentence("GPGGA,,,,,,0,,,,,,,,")) == Refusal(
            "a value is missing"
        )

    @pytest.mark.parametrize("cells", ["4860.0,N", "4807.0,X", "-100.0,N", "999999,E"])
    def test_positions_that_are_none_are_refused(self, cells: str) -> None:
        assert isinstance(NmeaParser(["lat"], sentence="GLL").parse(sentence(f"GPGLL,{cells}")), Refusal)

    def test_a_valid_fix_is_one_and_west_is_negative(self) -> None:
        rmc = sentence("GPRMC,123519,A,4807.038,S,01131.000,E,022.4,084.4,230394,003.1,W")
        assert NmeaParser(["valid", "lat", "variation"], sentence="RMC").parse(rmc) == pytest.approx(
            [1, -48.1173, -3.1]
        )
        void = sentence("GPRMC,123519,V,,,,,,,230394,,")
        assert NmeaParser(["valid"], sentence="RMC").parse(void) == [0]

    def test_an_unknown_field_is_refused_when_the_parser_is_made(self) -> None:
        with pytest.raises(
            UnknownInput, match="sentence HDT has no field 'speed'; it has heading, or positions from 1"
        ):
            NmeaParser(["speed"], sentence="HDT")


@pytest.mark.parametrize(
    ("options", "channels", "frame", "row"),
    [
        ({}, [Channel("spo2", ""), Channel("pulse", "pulse")], b"98,72", [98, 72]),
        ({"columns": ["t", "spo2"]}, [Channel("spo2", "")], b"1,98", [98]),
        ({}, [Channel("pulse", "2")], b"98,72", [72]),
        ({"parse": "regex", "pattern": "T=(?P<t>.*)", "decimal": ","}, [Channel("t", "")], b"T=1,5", [1.5]),
        ({"parse": "json"}, [Channel("x", "a.b")], b'{"a":{"b":2}}', [2]),
        ({"parse": "nmea", "sentence": "HDT"}, [Channel("heading", "")], sentence("HEHDT,270.5,T"), [270.5]),
        ({"frame": "struct", "sync": "ff", "format": "hh"}, [Channel("x", "2")], b"\1\0\2\0", [2]),
        ({"frame": "cobs", "format": ">h"}, [Channel("x", "1")], b"\1\0", [256]),
    ],
)
def test_options_and_channels_choose_the_parser(
    options: dict[str, Any], channels: list[Channel], frame: bytes, row: list[float]
) -> None:
    made = make_parser(SerialOptions.model_validate({"port": "loop://", **options}), channels)
    assert made.parse(frame) == row


def test_an_input_of_its_own_that_no_column_has_is_not_taken_for_an_order() -> None:
    with pytest.raises(UnknownInput, match="no column 'second'"):
        make_parser(SerialOptions(port="loop://"), [Channel("a", "second")])
