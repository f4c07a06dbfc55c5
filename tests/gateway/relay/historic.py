"""Streams for the tests of the history: any that hypothesis can think of, and a brute-force search in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from gateway.codec import CODECS
from gateway.model import Batch, Gap, Message
from gateway.relay.history import Excerpt, HistoryRecord, StreamHistory, batch_record, gap_record

START_NS = 1_700_000_000_000_000_000
RATES = (Fraction(500), Fraction(1000, 3), Fraction(7, 2))


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a stream, delivered or lost."""

    epoch: int
    index: int
    utc_ns: int
    lost: bool


Place = tuple[int, int]


def record_of(message: Message, utc_ns: int = START_NS, rate: Fraction | None = Fraction(500)) -> HistoryRecord:
    """The record of a message, its time given if it is a gap."""
    payload = CODECS["cbor"].encode(message)
    if isinstance(message, Gap):
        return gap_record(message, payload, utc_ns, rate)
    return batch_record(message, payload)


def ecg(index: int, frames: int = 50, *, epoch: int = 1, columns: int = 1, rate: int = 500) -> HistoryRecord:
    """A batch of a regular stream."""
    data = np.arange(index, index + frames).astype(np.int16).reshape(-1, 1).repeat(columns, axis=1)
    utc_ns = START_NS + (epoch - 1) * 3_600_000_000_000 + index * 1_000_000_000 // rate
    return record_of(Batch(epoch, index, utc_ns, 0, data, Fraction(rate)))


def lost(index: int, count: int, *, epoch: int = 1) -> HistoryRecord:
    """A gap of a stream of 500 Hz."""
    utc_ns = START_NS + (epoch - 1) * 3_600_000_000_000 + index * 2_000_000
    return record_of(Gap(epoch, index, count, "overrun"), utc_ns)


def frames_of(record: HistoryRecord) -> list[Frame]:
    """Every frame with its time, by the message's own account of it."""
    message = record.message()
    if isinstance(message, Batch):
        times = message.times_ns().tolist()
    else:
        step = 0 if record.rate is None else 1_000_000_000 / record.rate
        times = [record.utc_ns + int(number * step) for number in range(message.count)]
    return [
        Frame(record.epoch, record.index + number, utc_ns, record.is_gap) for number, utc_ns in enumerate(times)
    ]


def all_frames(records: Iterable[HistoryRecord]) -> list[Frame]:
    """In the stream's order."""
    frames = [frame for record in records for frame in frames_of(record)]
    return sorted(frames, key=lambda frame: (frame.epoch, frame.index))


def places(frames: Iterable[Frame]) -> list[Place]:
    """(epoch, index) of each."""
    return [(frame.epoch, frame.index) for frame in frames]


def got(excerpts: Iterable[Excerpt]) -> list[Place]:
    """(epoch, index) of each frame that was asked for; each record is whole and holds its excerpt."""
    found: list[Place] = []
    for excerpt in excerpts:
        message = excerpt.record.message()
        assert (message.epoch, message.index, message.end) == (
            excerpt.record.epoch,
            excerpt.record.index,
            excerpt.record.end,
        )
        assert message.index <= excerpt.start < excerpt.end <= message.end
        found += [(message.epoch, index) for index in range(excerpt.start, excerpt.end)]
    return found


def last_of(frames: Sequence[Frame], count: int) -> list[Place]:
    """The last so many delivered frames, and the lost ones among and after them."""
    delivered = [number for number, frame in enumerate(frames) if not frame.lost]
    if count == 0:
        return []
    return places(frames[delivered[-count] :] if count <= len(delivered) else frames)


def first_of(frames: Sequence[Frame], count: int) -> list[Place]:
    """The first so many delivered frames, and the lost ones before and among them."""
    delivered = [number for number, frame in enumerate(frames) if not frame.lost]
    if count == 0:
        return []
    return places(frames[: delivered[count - 1] + 1] if count <= len(delivered) else frames)


def around(frames: Sequence[Frame], moment_ns: int, before: int, after: int) -> list[Place]:
    """Those before and after a moment."""
    late = [number for number, frame in enumerate(frames) if not frame.lost and frame.utc_ns >= moment_ns]
    at = late[0] if late else len(frames)
    return last_of(frames[:at], before) + first_of(frames[at:], after)


@st.composite
def streams(draw: st.DrawFn) -> list[HistoryRecord]:
    """Batches and gaps of up to three epochs, with holes, clocks that step, and irregular times; in any order."""
    records: list[HistoryRecord] = []
    for epoch in range(1, draw(st.integers(1, 3)) + 1):
        rate = draw(st.sampled_from((*RATES, None)))
        index, step = draw(st.integers(0, 30)), 1_000_000_000 / (rate or Fraction(10))
        offset = START_NS + draw(st.integers(-20, 100)) * 1_000_000_000
        for _ in range(draw(st.integers(1, 8))):
            index += draw(st.sampled_from((0, 0, 0, 3)))
            offset += draw(st.sampled_from((0, 0, 0, 0, -(10**9), 10**9)))
            count, utc_ns = draw(st.integers(1, 12)), offset + int(index * step)
            if draw(st.integers(0, 3)) == 0:
                records.append(record_of(Gap(epoch, index, count, "late"), utc_ns, rate))
            else:
                times = draw(st.lists(st.integers(-(10**8), 10**9), min_size=count, max_size=count))
                offsets = None if rate else np.array(times, dtype=np.int64)
                batch = Batch(epoch, index, utc_ns, 0, np.zeros((count, 2), np.int16), rate, None, offsets)
                records.append(record_of(batch))
            index += count
    return draw(st.permutations(records)) if draw(st.booleans()) else records


def check_all_queries(history: StreamHistory, records: Sequence[HistoryRecord], data: st.DataObject) -> None:
    """Every question once, against brute force."""
    frames = all_frames(records)
    times = [frame.utc_ns for frame in frames]
    some_ns = st.sampled_from(times) | st.integers(min(times) - 10**9, max(times) + 10**9)
    start_ns, end_ns = data.draw(some_ns), data.draw(some_ns)
    check_window(history, records, start_ns, end_ns)
    check_window(history, records, start_ns, None)
    epoch, index = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 130))
    wanted = [frame for frame in frames if (frame.epoch, frame.index) >= (epoch, index)]
    assert got(history.from_index(epoch, index)) == places(wanted)
    count, more = data.draw(st.integers(0, 60)), data.draw(st.integers(0, 60))
    assert got(history.last(count)) == last_of(frames, count)
    assert got(history.around(start_ns, before=count, after=more)) == around(frames, start_ns, count, more)


def check_window(
    history: StreamHistory, records: Sequence[HistoryRecord], start_ns: int, end_ns: int | None
) -> None:
    """The frames of each record in a window of time, from the first such to the last."""
    wanted: list[Place] = []
    for record in sorted(records, key=lambda record: record.key):
        frames = frames_of(record)
        inside = [
            n for n, f in enumerate(frames) if start_ns <= f.utc_ns and (end_ns is None or f.utc_ns < end_ns)
        ]
        wanted += places(frames[inside[0] : inside[-1] + 1]) if inside else []
    excerpts = history.since_time(start_ns) if end_ns is None else history.between(start_ns, end_ns)
    assert got(excerpts) == wanted
