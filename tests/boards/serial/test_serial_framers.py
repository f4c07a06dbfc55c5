"""Any bytes, any chunking: nothing is raised, nothing grows, and well-formed frames between garbage come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.serial.crc import CRCS, make_crc
from boards.serial.framers import Bad, CobsFramer, FixedFramer, Frame, Framer, LineFramer, cobs

SYNC = b"\xaa\x55"
CRC = make_crc("crc8")

MakeFramer = Callable[[], Framer]

FRAMERS: dict[str, MakeFramer] = {
    "lf": lambda: LineFramer(max_length=12),
    "crlf": lambda: LineFramer(b"\r\n", max_length=12),
    "cr": lambda: LineFramer(b"\r", max_length=12),
    "fixed with a crc": lambda: FixedFramer(SYNC, 4, CRC),
    "fixed with a crc over sync too": lambda: FixedFramer(SYNC, 4, make_crc("crc16-ccitt"), "big", "frame"),
    "fixed without a crc": lambda: FixedFramer(SYNC, 4),
    "fixed with a repeated sync byte": lambda: FixedFramer(b"\xaa\xaa\xaa", 4, CRC),
    "cobs": lambda: CobsFramer(max_length=12),
    "cobs with a crc": lambda: CobsFramer(12, make_crc("crc16-modbus")),
}

# The bytes that mean something to one of the framers come often.
wire_bytes = st.lists(
    st.one_of(st.sampled_from(b"\n\r\0\xaa\x55\x01\x02\xff"), st.integers(0, 255)), max_size=200
).map(bytes)


def feed(framer: Framer, chunks: Iterable[bytes]) -> list[Frame | Bad]:
    return [event for chunk in chunks for event in framer.feed(chunk)]


def frames(events: Iterable[Frame | Bad]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, Frame)]


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    return [data[first:last] for first, last in pairwise(places)]


def checked(payload: bytes) -> bytes:
    return SYNC + payload + CRC.pack(payload, "little")


@pytest.mark.parametrize("make", FRAMERS.values(), ids=FRAMERS)
@given(data=wire_bytes, cuts=st.lists(st.integers(0, 200), max_size=20))
def test_the_chunking_makes_no_difference(make: MakeFramer, data: bytes, cuts: list[int]) -> None:
    whole, pieces = make(), make()
    assert feed(whole, [data]) == feed(pieces, cut(data, cuts))
    assert whole.pending == pieces.pending


@pytest.mark.parametrize("make", FRAMERS.values(), ids=FRAMERS)
@given(data=wire_bytes)
def test_what_is_held_stays_within_the_limit_and_offsets_go_forward(make: MakeFramer, data: bytes) -> None:
    framer, at = make(), 0
    for count in range(len(data)):
        for event in framer.feed(data[count : count + 1]):
            assert at <= event.start < event.end <= count + 1
            at = event.end
        assert framer.pending <= 2 * framer.limit
    assert framer.pending <= len(data) - at


@pytest.mark.parametrize("make", FRAMERS.values(), ids=FRAMERS)
def test_a_megabyte_without_any_frame_holds_no_more_than_the_limit(make: MakeFramer) -> None:
    framer = make()
    for _ in range(256):
        framer.feed(b"x" * 4096)
        assert framer.pending <= 2 * framer.limit


lines = st.lists(st.binary(min_size=1, max_size=12).map(lambda b: b.replace(b"\n", b".").replace(b"\r", b".")))


@given(before=wire_bytes, good=lines, cuts=st.lists(st.integers(0, 300), max_size=9))
def test_every_line_after_a_terminator_comes_out(before: bytes, good: list[bytes], cuts: list[int]) -> None:
    data = before + b"\n" + b"".join(line + b"\n" for line in good)
    came = frames(feed(LineFramer(max_length=12), cut(data, cuts)))
    assert came[len(came) - len(good) :] == good


@pytest.mark.parametrize("terminator", [b"\r", b"\r\n", b"END"])
@given(good=lines, cuts=st.lists(st.integers(0, 300), max_size=9))
def test_other_terminators_end_lines_too(terminator: bytes, good: list[bytes], cuts: list[int]) -> None:
    whole = [line.replace(b"D", b".") for line in good]
    data = b"".join(line + terminator for line in whole)
    assert frames(feed(LineFramer(terminator, 12), cut(data, cuts))) == whole


def test_a_line_feed_takes_the_carriage_return_before_it() -> None:
    assert frames(LineFramer().feed(b"a\r\nb\n\r\n\nc\r")) == [b"a", b"b"]


def test_an_overlong_line_is_one_loss_said_at_once_and_the_next_line_comes_out() -> None:
    framer = LineFramer(max_length=4)
    assert framer.feed(b"12345") == [Bad("overlong", 0, 5)]
    assert framer.pending == 0
    assert framer.feed(b"6" * 10_000) == []
    assert framer.feed(b"7\nnext\n") == [Frame(b"next", 10_007, 10_012)]


def test_a_terminator_cut_in_two_ends_an_overlong_line() -> None:
    framer = LineFramer(b"\r\n", max_length=4)
    assert feed(framer, [b"123456789\r", b"\nnext\r\n"]) == [Bad("overlong", 0, 5), Frame(b"next", 11, 17)]


payloads = st.binary(min_size=4, max_size=4)
parts = st.lists(st.one_of(payloads.map(lambda p: (True, p)), wire_bytes.map(lambda g: (False, g))), max_size=12)


def leftmost_frames(data: bytes) -> list[tuple[int, bytes]]:
    """What the framer should find, told in another way: the leftmost whole frame, then the leftmost after it."""
    size = len(checked(bytes(4)))
    at, found = 0, []
    while at + size <= len(data):
        payload = data[at + 2 : at + 6]
        if data[at : at + size] == checked(payload):
            found.append((at, payload))
            at += size
        else:
            at += 1
    return found


@given(parts=parts, cuts=st.lists(st.integers(0, 3000), max_size=20))
def test_every_fixed_frame_between_garbage_comes_out_unless_chance_made_another_over_it(
    parts: list[tuple[bool, bytes]], cuts: list[int]
) -> None:
    data, sent = b"", []
    for good, part in parts:
        if good:
            sent.append((len(data), part))
        data += checked(part) if good else part
    events = feed(FixedFramer(SYNC, 4, CRC), cut(data, cuts))
    came = [(event.start, event.data) for event in events if isinstance(event, Frame)]
    assert came == leftmost_frames(data)
    size = len(checked(bytes(4)))
    for start, payload in sent:
        by_chance = [other for other, _ in came if start - size < other < start]
        assert (start, payload) in came or by_chance


@pytest.mark.parametrize("name", CRCS)
@pytest.mark.parametrize("covers", ["payload", "frame"])
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_check_is_verified_over_what_it_covers(name: str, covers: str, order: str) -> None:
    crc = CRCS[name]  # type: ignore[index]
    payload = b"\x01\x02\x03\x04"
    check = crc.pack((SYNC if covers == "frame" else b"") + payload, order)  # type: ignore[arg-type]
    framer = FixedFramer(SYNC, 4, crc, order, covers)  # type: ignore[arg-type]
    wrong = SYNC + payload + bytes(byte ^ 1 for byte in check)
    assert frames(framer.feed(wrong + SYNC + payload + check)) == [payload]


def test_a_damaged_frame_is_one_loss_between_the_good_ones() -> None:
    good, bad = checked(b"abcd"), bytearray(checked(b"efgh"))
    bad[3] ^= 1
    events = FixedFramer(SYNC, 4, CRC).feed(good + bad + good)
    assert events == [Frame(b"abcd", 0, 7), Bad("garbage", 7, 14), Frame(b"abcd", 14, 21)]


def test_a_frame_inside_a_bad_one_comes_out() -> None:
    cut_short = SYNC + b"\x01"  # lost its last bytes, so the next frame begins where the rest should be
    events = FixedFramer(SYNC, 4, CRC).feed(cut_short + checked(b"abcd"))
    assert events == [Bad("garbage", 0, 3), Frame(b"abcd", 3, 10)]


def test_long_garbage_is_declared_frame_by_frame_as_it_comes() -> None:
    framer = FixedFramer(SYNC, 4, CRC)
    assert framer.feed(b"x" * 15) == [Bad("garbage", 0, 7), Bad("garbage", 7, 14)]
    assert framer.pending == 1
    assert framer.feed(checked(b"abcd"))[0] == Bad("garbage", 14, 15)


@given(payload=st.binary(max_size=1200))
def test_what_cobs_stuffs_holds_no_zero_and_comes_back(payload: bytes) -> None:
    stuffed = cobs.encode(payload)
    assert 0 not in stuffed
    assert len(stuffed) <= len(payload) + 1 + len(payload) // 254
    assert cobs.decode(stuffed) == payload


@pytest.mark.parametrize(
    ("payload", "stuffed"),
    [
        (b"", "01"),
        (b"\0", "0101"),
        (b"\x11\x22\0\x33", "0311220233"),
        (bytes(range(1, 255)), "ff" + bytes(range(1, 255)).hex()),
        (bytes(range(255)), "01ff" + bytes(range(1, 255)).hex()),
        (bytes(range(1, 256)), "ff" + bytes(range(1, 255)).hex() + "02ff"),
    ],
)
def test_cobs_stuffs_as_published(payload: bytes, stuffed: str) -> None:
    assert cobs.encode(payload).hex() == stuffed
    assert cobs.decode(bytes.fromhex(stuffed)) == payload


@pytest.mark.parametrize("stuffed", [b"\x03a", b"\x00", b"\x02a\x00", b"\xffabc"])
def test_cobs_refuses_what_is_not_well_formed(stuffed: bytes) -> None:
    assert cobs.decode(stuffed) is None


@given(before=wire_bytes, good=st.lists(st.binary(min_size=1, max_size=11)), cuts=st.lists(st.integers(0, 300)))
def test_every_cobs_frame_after_a_zero_comes_out(before: bytes, good: list[bytes], cuts: list[int]) -> None:
    data = before + b"\0" + b"".join(cobs.encode(payload) + b"\0" for payload in good)
    came = frames(feed(CobsFramer(max_length=12), cut(data, cuts)))
    assert came[len(came) - len(good) :] == good


def test_a_cobs_frame_with_a_wrong_check_is_a_loss() -> None:
    crc = make_crc("crc16-modbus")
    good = b"ab\0d" + crc.pack(b"ab\0d", "little")
    sent: Sequence[bytes] = [good, b"xy" + good[2:], b"q", good]
    events = feed(CobsFramer(12, crc), [cobs.encode(frame) + b"\0" for frame in sent])
    assert [type(event) for event in events] == [Frame, Bad, Bad, Frame]
    assert frames(events) == [b"ab\0d"] * 2


def test_an_overlong_cobs_frame_is_one_loss_and_the_next_comes_out() -> None:
    framer = CobsFramer(max_length=4)
    assert framer.feed(b"\x09" * 100) == [Bad("overlong", 0, 5)]
    assert framer.feed(b"\x09\0\0" + cobs.encode(b"ok") + b"\0") == [Frame(b"ok", 103, 107)]
