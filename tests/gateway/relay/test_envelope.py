"""Whatever comes, in whatever order: each bucket's least and greatest values are those of its frames."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from gateway.codec.cbor import flat_array, shaped_array
from gateway.model import Batch, Gap
from gateway.relay.envelope import Envelope, EnvelopeError, LiveRequest, Pyramid, StreamEnvelope, encode
from gateway.relay.envelope.losses import MOST_LOSSES, Losses

START_NS = 1_700_000_000_000_000_000
RATES = (Fraction(500), Fraction(25_000), Fraction(1000, 3), None)
DTYPES = ("int16", "uint8", "int32", "float32", "float64")


def batch_of(values: NDArray[Any], index: int, rate: Fraction | None = Fraction(500), epoch: int = 1) -> Batch:
    if rate is None:
        utc_ns = START_NS + index * 1_000_000
        return Batch(
            epoch, index, utc_ns, 0, values, offsets_ns=np.arange(len(values), dtype=np.int64) * 1_000_000
        )
    return Batch(epoch, index, time_of(index, rate), 0, values, rate=rate)


def time_of(index: int, rate: Fraction | None) -> int:
    """When every frame of these tests is, to the ns."""
    step = Fraction(1_000_000) if rate is None else 1_000_000_000 / rate
    return START_NS + int(index * step)


class Frames:
    """What came, frame by frame."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.values: dict[int, NDArray[Any]] = {}

    def add(self, batch: Batch) -> None:
        for number, row in enumerate(batch.data):
            self.values[batch.index + number] = row

    def check(self, envelope: Envelope, rate: Fraction | None, channels: tuple[int, ...] | None = None) -> None:
        """The true minimum and maximum of every bucket."""
        columns = list(range(self.columns) if channels is None else channels)
        for number in range(len(envelope.t)):
            first = envelope.index + number * envelope.frames
            inside = [self.values[i] for i in range(first, first + envelope.frames) if i in self.values]
            assert envelope.covered[number] == len(inside)
            if inside:
                rows = np.array(inside)[:, columns]
                np.testing.assert_array_equal(envelope.lo[number], np.fmin.reduce(rows))
                np.testing.assert_array_equal(envelope.hi[number], np.fmax.reduce(rows))
            if rate is not None:
                assert abs(int(envelope.t[number]) - time_of(first, rate)) <= 2
        known = range(max(envelope.index, min(self.values)), min(envelope.end, max(self.values) + 1))
        lost = [i for loss in envelope.losses for i in range(loss.start, loss.start + loss.frames)]
        assert lost == [i for i in known if i not in self.values]


@st.composite
def histories(draw: st.DrawFn) -> tuple[Fraction | None, list[Batch]]:
    """Batches of one stream with holes between them, in any order."""
    dtype, columns = draw(st.sampled_from(DTYPES)), draw(st.integers(1, 3))
    rate = draw(st.sampled_from(RATES))
    index = draw(st.integers(0, 5000))
    batches: list[Batch] = []
    for frames in draw(st.lists(st.integers(1, 60), min_size=1, max_size=8)):
        index += draw(st.sampled_from((0, 0, 0, 1, 7, 400)))
        batches.append(batch_of(draw(npst.arrays(dtype, (frames, columns))), index, rate))
        index += frames
    late = draw(st.permutations(batches)) if draw(st.booleans()) else batches
    return rate, late


@settings(max_examples=150, deadline=None)
@given(histories(), st.data())
def test_no_spike_is_lost_at_any_width(history: tuple[Fraction | None, list[Batch]], data: st.DataObject) -> None:
    rate, batches = history
    columns = batches[0].data.shape[1]
    frames, pyramid = Frames(columns), None
    for batch in batches:
        frames.add(batch)
        if pyramid is None:
            pyramid = Pyramid(batch)
        else:
            pyramid.add(batch)
    assert pyramid is not None
    low, high = min(b.index for b in batches), max(b.end for b in batches)
    start = data.draw(st.integers(max(low - 20, 0), high))
    end = data.draw(st.integers(start, high + 20))
    width = data.draw(st.integers(2, 40))
    channels = data.draw(st.none() | st.lists(st.integers(0, columns - 1), min_size=1, max_size=4).map(tuple))
    envelope = pyramid.query(start, end, width, channels)
    frames.check(envelope, rate, channels)
    assert len(envelope.t) <= width
    asked_for = [i for i in frames.values if start <= i < end]
    assert all(envelope.index <= i < envelope.end for i in asked_for), "all that was asked for is in it"
    pixel = max((min(end, high) - max(start, low)) / width, 4)
    assert envelope.frames < 4 * pixel, "no bucket is much wider than a pixel"


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(2, 12), st.data())
def test_a_full_ring_tells_the_truth_about_what_it_still_has(
    history: tuple[Fraction | None, list[Batch]], buckets: int, data: st.DataObject
) -> None:
    rate, batches = history
    frames, pyramid = Frames(batches[0].data.shape[1]), Pyramid(batches[0], buckets)
    for batch in batches:
        frames.add(batch)
        if batch is not batches[0]:
            pyramid.add(batch)
    start = data.draw(st.integers(0, pyramid.end))
    end = data.draw(st.integers(start, pyramid.end))
    envelope = pyramid.query(start, end, data.draw(st.integers(2, 40)))
    frames.check(envelope, rate)
    newest = pyramid.query(pyramid.end - 1, pyramid.end, 2)
    assert newest.end >= pyramid.end > newest.index, "the newest frames are always there"


@settings(max_examples=100, deadline=None)
@given(histories(), st.data())
def test_a_window_of_time_holds_every_frame_in_it(
    history: tuple[Fraction | None, list[Batch]], data: st.DataObject
) -> None:
    rate, batches = history
    batches = sorted(batches, key=lambda batch: batch.index)
    stream, frames = StreamEnvelope(), Frames(batches[0].data.shape[1])
    for batch in batches:
        stream.add(batch)
        frames.add(batch)
    moments = sorted(time_of(i, rate) for i in frames.values)
    start = data.draw(st.integers(moments[0] - 10**8, moments[-1] + 10**8))
    end = data.draw(st.integers(start, moments[-1] + 2 * 10**8))
    envelope = stream.window(1, start, end, 30)
    assert envelope is not None
    frames.check(envelope, rate)
    # bucket times are good to some ns only
    for i in frames.values:
        if start + 2 <= time_of(i, rate) < end - 2:
            assert envelope.index <= i < envelope.end


def test_memory_is_bounded_however_long_a_stream_runs() -> None:
    values = np.zeros((5000, 8), np.int16)
    stream = StreamEnvelope(buckets=1024)
    for number in range(2000):
        stream.add(batch_of(values, number * 5000, Fraction(25_000)))
        if number == 1000:
            half_way = stream.nbytes
    bucket = 8 * 2 * 2 + 8 + 8
    assert half_way <= stream.nbytes <= 12 * 1024 * bucket


def test_a_jump_of_the_index_costs_no_more_than_the_ring() -> None:
    stream = StreamEnvelope(buckets=512)
    stream.add(batch_of(np.ones((10, 1), np.int16), 0))
    stream.add(Batch(1, 1 << 60, START_NS, 0, np.full((10, 1), 7, np.int16), Fraction(1, 10)))
    envelope = stream.frames(1, (1 << 60) - 100, (1 << 60) + 10, 100)
    assert envelope is not None
    assert int(envelope.covered.sum()) == 10
    assert envelope.hi[envelope.covered > 0].max() == 7
    assert stream.nbytes <= 12 * 512 * 20


@pytest.mark.parametrize("rate", [500, 25_000, 1_000_000])
def test_the_buckets_read_for_a_viewer_do_not_depend_on_the_rate(
    rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.relay.envelope.level import Buckets, Level

    pyramid: Pyramid | None = None
    for second in range(20):
        batch = batch_of(np.zeros((rate, 1), np.int8), second * rate, Fraction(rate))
        if pyramid is None:
            pyramid = Pyramid(batch)
        else:
            pyramid.add(batch)
    assert pyramid is not None
    read: list[int] = []
    real = Level.read

    def counting(self: Level, first: int, end: int) -> Buckets:
        read.append(end - first)
        return real(self, first, end)

    monkeypatch.setattr(Level, "read", counting)
    envelope = pyramid.query(*pyramid.last(10), 1000)
    assert 1000 // 5 <= len(envelope.t) <= 1000
    assert sum(read) <= 5 * 1000


def test_equal_requests_between_two_batches_are_computed_once() -> None:
    stream = StreamEnvelope()
    ten, five = LiveRequest(10, 500), LiveRequest(5, 500)
    assert stream.live(ten) is None
    for number in range(3):
        stream.add(batch_of(np.arange(1000, dtype=np.int16).reshape(500, 2), number * 500))
        before = stream.computed
        answers = {id(stream.live(LiveRequest(10, 500))) for _ in range(100)}
        assert len(answers) == 1
        assert stream.live(five) is not stream.live(ten)
        assert stream.computed == before + 2


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(2, 50), st.sampled_from((0.05, 0.2, 1.0)))
def test_who_gets_only_what_changed_has_what_the_whole_window_says(
    history: tuple[Fraction | None, list[Batch]], width: int, seconds: float
) -> None:
    rate, batches = history
    stream, request = StreamEnvelope(), LiveRequest(seconds, width)
    shown: dict[int, tuple[Any, ...]] = {}
    frames, cursor = 0, None
    for batch in batches:
        stream.add(batch)
        content = cbor2.loads(stream.live(request, cursor) or b"")
        cursor = stream.cursor
        if content["b"] != frames or rate is None:
            shown, frames = {}, content["b"]
        shown = {index: bucket for index, bucket in shown.items() if index < content["i"]} | buckets_of(content)
        whole = cbor2.loads(stream.live(request) or b"")
        assert whole["n"] <= width
        for index, bucket in buckets_of(whole).items():
            assert shown[index] == bucket


def buckets_of(content: dict[str, Any]) -> dict[int, tuple[Any, ...]]:
    """By the index of its first frame, each bucket as bytes; empty ones have no values."""
    lo, hi, covered = shaped_array(content["lo"]), shaped_array(content["hi"]), flat_array(content["u"], "u")
    return {
        content["i"] + n * content["b"]: (int(u), lo[n].tobytes(), hi[n].tobytes()) if u else (0,)
        for n, u in enumerate(covered)
    }


def test_what_changed_is_little_and_shared() -> None:
    stream, request = StreamEnvelope(), LiveRequest(10, 1000)
    for number in range(400):
        cursor = stream.cursor
        stream.add(batch_of(np.zeros((833, 8), np.int16), number * 833, Fraction(25_000)))
    assert len({id(stream.live(request, cursor)) for _ in range(100)}) == 1
    assert cbor2.loads(stream.live(request, cursor) or b"")["n"] <= 6
    assert cbor2.loads(stream.live(request) or b"")["n"] > 900


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(("came", "overrun", "late", None)), min_size=1, max_size=60), st.data())
def test_what_is_not_there_is_found_wherever_one_looks(fates: list[Any], data: st.DataObject) -> None:
    losses = Losses()
    for index in data.draw(st.permutations(range(len(fates)))):
        if fates[index] == "came":
            losses.deliver(index, index + 1)
        elif fates[index] is not None:
            losses.declare(Gap(1, index, 1, fates[index]))
    start = data.draw(st.integers(0, len(fates)))
    end = data.draw(st.integers(start, len(fates) + 5))
    found = {
        i: loss.reason for loss in losses.within(start, end) for i in range(loss.start, loss.start + loss.frames)
    }
    known = [index for index, fate in enumerate(fates) if fate is not None]
    inside = range(max(start, min(known, default=0)), min(end, max(known, default=-1) + 1))
    assert found == {index: fates[index] for index in inside if fates[index] != "came"}


def test_losses_are_bounded_and_those_that_continue_are_one() -> None:
    losses = Losses()
    for index in range(0, 10 * MOST_LOSSES, 2):
        losses.declare(Gap(1, index, 1, "late"))
    found = losses.within(0, 10 * MOST_LOSSES)
    assert (len(found), found[-1].start) == (MOST_LOSSES, 10 * MOST_LOSSES - 2)
    losses = Losses()
    for index in range(100):
        losses.declare(Gap(1, index, 1, "late"))
    assert losses.within(10, 50) == ((10, 40, "late"),)


def test_a_loss_is_in_the_buckets_that_are_sent_next_and_one_declared_late_in_the_whole_window() -> None:
    stream, request = StreamEnvelope(), LiveRequest(10, 100)
    values = np.zeros((400, 1), np.int16)
    stream.add(batch_of(values, 0))
    whole, cursor = cbor2.loads(stream.live(request) or b""), stream.cursor
    assert "g" not in whole
    stream.add(Gap(1, 400, 200, "overrun"))
    assert stream.cursor == cursor, "nothing to show yet"
    stream.add(batch_of(values, 600))
    changed, cursor = cbor2.loads(stream.live(request, cursor) or b""), stream.cursor
    assert changed["n"] < 100
    assert changed["g"] == [[400, 200, "overrun"]]
    stream.add(batch_of(values, 1050))
    changed, cursor = cbor2.loads(stream.live(request, cursor) or b""), stream.cursor
    assert changed["g"][-1] == [1000, 50, None]
    stream.add(Gap(1, 1000, 50, "crash"))
    again = cbor2.loads(stream.live(request, cursor) or b"")
    assert (again["i"], again["g"]) == (0, [[400, 200, "overrun"], [1000, 50, "crash"]])
    stream.add(Gap(7, 0, 50, "crash"))
    assert stream.epochs == [1], "an epoch begins with its first frames"


def test_answers_remembered_are_bounded() -> None:
    stream = StreamEnvelope()
    stream.add(batch_of(np.zeros((50, 1), np.int16), 0))
    for number in range(1000):
        stream.live(LiveRequest(1 + number / 1000, 100))
    stream.live(LiveRequest(1.999, 100))
    assert stream.computed == 1000
    stream.live(LiveRequest(1.0, 100))
    assert stream.computed == 1001


@pytest.mark.parametrize("rate", [Fraction(500), None])
def test_on_the_wire_it_is_a_map_that_any_cbor_library_reads(rate: Fraction | None) -> None:
    stream = StreamEnvelope()
    values = np.random.default_rng(1).integers(-2000, 2000, (5000, 3)).astype(np.int16)
    stream.add(batch_of(values, 8192, rate))
    wire = stream.live(LiveRequest(8, 200, (2, 0)))
    assert wire is not None
    content = cbor2.loads(wire)
    lo, hi, covered = shaped_array(content["lo"]), shaped_array(content["hi"]), flat_array(content["u"], "u")
    assert (content["v"], content["e"], content["k"]) == (1, 1, [2, 0])
    assert lo.shape == hi.shape == (content["n"], 2)
    assert lo.dtype == np.int16
    assert covered.shape == (content["n"],)
    for number in range(content["n"]):
        first = content["i"] + number * content["b"] - 8192
        rows = values[max(first, 0) : first + content["b"], [2, 0]]
        assert covered[number] == len(rows)
        np.testing.assert_array_equal(lo[number], rows.min(axis=0))
        np.testing.assert_array_equal(hi[number], rows.max(axis=0))
    if rate is None:
        assert "r" not in content
        times = content["t"] + flat_array(content["o"], "o")
    else:
        assert content["r"] == [500, 1]
        times = content["t"] + np.arange(content["n"]) * content["b"] * 2_000_000
    expected = [time_of(content["i"] + number * content["b"], rate) for number in range(content["n"])]
    assert np.abs(times[1:] - np.array(expected[1:])).max() <= 2


def test_an_empty_window_is_no_buckets() -> None:
    stream = StreamEnvelope()
    stream.add(batch_of(np.zeros((50, 2), np.int16), 100))
    envelope = stream.frames(1, 500, 600, 10)
    assert envelope is not None
    assert envelope.lo.shape == (0, 2)
    assert cbor2.loads(encode(envelope))["n"] == 0
    assert stream.frames(2, 0, 10, 10) is None


def test_another_number_of_channels_begins_anew() -> None:
    stream = StreamEnvelope()
    stream.add(batch_of(np.zeros((50, 2), np.int16), 0))
    stream.add(batch_of(np.ones((50, 3), np.int16), 50))
    envelope = stream.frames(1, 0, 100, 50)
    assert envelope is not None
    assert envelope.lo.shape[1] == 3
    assert int(envelope.covered.sum()) == 50


def test_only_the_newest_epochs_are_kept() -> None:
    stream = StreamEnvelope()
    for epoch in (3, 5, 4, 9):
        stream.add(batch_of(np.zeros((5, 1), np.int16), 0, epoch=epoch))
    assert stream.epochs == [5, 9]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (LiveRequest(1, 1), "from 2 to"),
        (LiveRequest(1, 10**6), "16384"),
        (LiveRequest(0, 10), "more than 0 s"),
        (LiveRequest(float("nan"), 10), "more than 0 s"),
        (LiveRequest(float("inf"), 10), "more than 0 s"),
        (LiveRequest(1, 10, (2,)), "no channel 2; there are 2"),
        (LiveRequest(1, 10, (-1,)), "no channel -1"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_is_allowed(request_: LiveRequest, words: str) -> None:
    stream = StreamEnvelope()
    stream.add(batch_of(np.zeros((50, 2), np.int16), 0))
    with pytest.raises(EnvelopeError, match=words):
        stream.check(request_)


def test_channels_that_a_new_epoch_no_longer_has_are_left_out() -> None:
    stream = StreamEnvelope()
    stream.add(batch_of(np.zeros((50, 3), np.int16), 0))
    request = LiveRequest(1, 10, (2, 0))
    stream.check(request)
    seen = stream.cursor
    stream.add(batch_of(np.ones((50, 2), np.int16), 0, epoch=2))
    content = cbor2.loads(stream.live(request, seen) or b"")
    assert (content["e"], content["k"], content["lo"].value[0][1]) == (2, [0], 1)
