"""Chunks and their times to blocks: what is delivered, what is declared lost, and when each row was."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards import Block, Channel
from boards.serial.counters import Counters
from boards.serial.decoder import SUSPICIOUS_RUN, Decoder
from boards.serial.framers import make_framer
from boards.serial.losses import CountByNumber, CountRefusals
from boards.serial.options import SerialOptions
from boards.serial.parsers import make_parser
from boards.serial.wire import WireClock

BYTE_NS = 1_000


def make_decoder(
    byte_ns: int = BYTE_NS, clock: WireClock | None = None, **values: Any
) -> tuple[Decoder, Counters]:
    options = SerialOptions.model_validate({"port": "loop://", "skip": 0, **values})
    channels = [Channel("a", "1"), Channel("b", "2")]
    counters = Counters()
    decoder = Decoder(
        make_framer(options),
        make_parser(options, channels),
        clock or WireClock(byte_ns, 0),
        CountRefusals(),
        channels=2,
        dtype=np.float64,
        counters=counters,
        encoding=options.encoding,
        ignore=options.ignore,
        skip=options.skip,
    )
    return decoder, counters


def told(blocks: list[Block]) -> list[tuple[int, list[list[float]]]]:
    return [(block.lost, block.frames.tolist()) for block in blocks]


def test_rows_of_one_chunk_come_in_one_block_each_with_the_time_its_first_byte_began() -> None:
    decoder, _ = make_decoder()
    [block] = decoder.feed(b"1,2\n3,4\n5", now_ns=100_000)
    assert block.frames.tolist() == [[1, 2], [3, 4]]
    assert block.frames.dtype == np.float64
    assert block.lost == 0
    assert block.monotonic_ns == 100_000 - 9 * BYTE_NS
    assert block.offsets_ns is not None
    assert block.offsets_ns.tolist() == [0, 4 * BYTE_NS]


def test_a_row_in_two_chunks_has_the_time_of_the_chunk_that_began_it() -> None:
    decoder, _ = make_decoder()
    assert decoder.feed(b"1,", now_ns=100_000) == []
    [block] = decoder.feed(b"2\n", now_ns=900_000)
    assert block.monotonic_ns == 98_000


def test_a_garbled_line_between_good_ones_is_declared_before_the_next() -> None:
    decoder, counters = make_decoder()
    blocks = decoder.feed(b"1,2\n3,x\n5,6\n7,8\n", now_ns=100_000)
    assert told(blocks) == [(0, [[1, 2]]), (1, [[5, 6], [7, 8]])]
    assert [block.reason for block in blocks] == ["undecodable"] * 2
    assert (counters.rows, counters.undecodable, counters.last_refusal) == (3, 1, "x is not a number")


def test_losses_one_after_another_are_one_declaration() -> None:
    decoder, _ = make_decoder(max_length=8)
    assert told(decoder.feed(b"x\ny\n123456789\n1,2\n", 0)) == [(3, [[1, 2]])]


def test_a_loss_that_nothing_follows_is_declared_at_once() -> None:
    decoder, _ = make_decoder(byte_ns=7)
    [block] = decoder.feed(b"x\n", now_ns=77)
    assert (block.lost, block.frames.shape, block.monotonic_ns) == (1, (0, 2), 77 - 2 * 7)
    assert block.offsets_ns is not None
    assert block.offsets_ns.shape == (0,)


def test_the_first_line_may_have_been_cut_and_is_declared_lost() -> None:
    decoder, counters = make_decoder(skip=None)
    assert told(decoder.feed(b"8,72\n97,72\n", 0)) == [(1, [[97, 72]])]
    assert counters.undecodable == 1


def test_a_first_frame_with_a_check_is_trusted() -> None:
    decoder, _ = make_decoder(skip=None, frame="cobs", format="<BB", crc="crc8")
    crc8_of_1_2 = 0x1B
    assert told(decoder.feed(bytes([4, 1, 2, crc8_of_1_2, 0]), 0)) == [(0, [[1, 2]])]


def test_frames_to_skip_are_neither_rows_nor_losses() -> None:
    decoder, counters = make_decoder(skip=2)
    assert told(decoder.feed(b"boot v1.2\n1,2\n3,4\n", 0)) == [(0, [[3, 4]])]
    assert counters.ignored == 2


def test_lines_to_ignore_are_neither_rows_nor_losses() -> None:
    decoder, counters = make_decoder(ignore=re.compile("^#"))
    assert told(decoder.feed(b"# a\n1,2\n# b\n3,4\n", 0)) == [(0, [[1, 2], [3, 4]])]
    assert counters.ignored == 2


def test_a_run_of_undecodable_rows_warns_once_and_ends_nothing() -> None:
    decoder, counters = make_decoder()
    decoder.feed(b"x\n" * (SUSPICIOUS_RUN - 1), 0)
    assert decoder.take_warning() is None
    decoder.feed(b"x\n" * 500, 0)
    assert "1 columns, not 2 or more" in (decoder.take_warning() or "")
    assert decoder.take_warning() is None
    assert told(decoder.feed(b"1,2\n", 0)) == [(0, [[1, 2]])]
    decoder.feed(b"x\n" * SUSPICIOUS_RUN, 0)
    assert decoder.take_warning() is not None
    assert counters.warnings == 2


lines = st.lists(st.sampled_from([b"1,2", b"-3.5,4e2", b"x,1", b"1", b"\xff\xfe", b"0123456789,0", b"#", b""]))


@given(lines=lines, cuts=st.lists(st.integers(0, 500)))
def test_every_line_is_a_row_a_loss_or_ignored_whatever_the_chunks(lines: list[bytes], cuts: list[int]) -> None:
    decoder, counters = make_decoder(max_length=10, ignore=re.compile("^#"))
    data = b"".join(line + b"\n" for line in lines)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    blocks = [
        block
        for now, (first, last) in enumerate(pairwise(places))
        for block in decoder.feed(data[first:last], now * 10**6)
    ]
    bad = {b"x,1", b"1", b"\xff\xfe", b"0123456789,0"}
    assert sum(block.lost for block in blocks) == sum(line in bad for line in lines) == counters.undecodable
    assert sum(len(block.frames) for block in blocks) == sum(line in {b"1,2", b"-3.5,4e2"} for line in lines)
    assert counters.bytes == len(data)
    numbered: list[bytes] = []  # the rows and losses in their order, as the stream's indices have them
    for block in blocks:
        numbered += [b"lost"] * block.lost + [b"1,2" if row[0] == 1 else b"-3.5,4e2" for row in block.frames]
    assert numbered == [b"lost" if line in bad else line for line in lines if line not in {b"#", b""}]


@pytest.mark.parametrize("frame", ["line", "struct", "cobs"])
@given(chunks=st.lists(st.binary(max_size=50), max_size=30))
def test_any_bytes_end_in_blocks_whose_times_go_forward(frame: str, chunks: list[bytes]) -> None:
    options: dict[str, Any] = {"frame": frame, "max_length": 20, "sync": "00"}
    decoder, counters = make_decoder(**options | ({} if frame == "line" else {"format": "<bb"}))
    last, rows, lost = 0, 0, 0
    for now, chunk in enumerate(chunks, 1):
        for block in decoder.feed(chunk, now * 1_000_000):
            assert block.offsets_ns is not None
            times = block.monotonic_ns + block.offsets_ns
            assert np.all(np.diff(times, prepend=last) >= 0)
            assert np.all(times <= now * 1_000_000)
            assert len(block.frames) or block.lost
            last = int(times[-1]) if len(times) else last
            rows += len(block.frames)
            lost += block.lost
    assert (rows, lost) == (counters.rows, counters.undecodable)


def test_the_rows_own_number_counts_what_is_lost_and_is_no_channel() -> None:
    options = SerialOptions(port="loop://", skip=0)
    counters = Counters()
    decoder = Decoder(
        make_framer(options),
        make_parser(options, [Channel("a", "2"), Channel("", "1")]),
        WireClock(BYTE_NS, 0),
        CountByNumber(None, counters),
        channels=1,
        dtype=np.float64,
        counters=counters,
        skip=0,
    )
    blocks = decoder.feed(b"7,70\nx\n8,80\n11,110\ny\n13,130\n14.5,145\n", 0)
    assert [(b.lost, b.reason, b.frames[:, 0].tolist()) for b in blocks] == [
        (0, "undecodable", [70, 80]),
        (2, "overrun", [110]),
        (1, "undecodable", [130]),
    ]
    assert (counters.rows, counters.lost, counters.undecodable) == (4, 3, 3)


def test_losses_of_different_reasons_one_after_another_are_two_declarations() -> None:
    decoder, counters = make_decoder()
    [block] = decoder.feed(b"x\n1,", 0)
    [cut] = decoder.cut(9)
    assert [(b.lost, b.reason, len(b.frames)) for b in (block, cut)] == [
        (1, "undecodable", 0),
        (1, "unplugged", 0),
    ]
    assert (counters.partial, counters.lost) == (1, 2)


def test_hours_without_a_row_hold_nothing_of_the_reads() -> None:
    clock = WireClock(BYTE_NS, 0)
    decoder, counters = make_decoder(clock=clock, ignore=re.compile("^#"))
    for read in range(1000):
        assert decoder.feed(b"#\n", read * 10**9) == []
    assert counters.ignored == 1000
    assert len(clock._bounds) <= 2
