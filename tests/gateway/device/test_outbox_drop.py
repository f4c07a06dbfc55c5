"""What goes when there is no room: chosen from the oldest on, and declared exactly."""

from __future__ import annotations

from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.device.outbox.drop import Span, plan
from gateway.model import GapReason

STREAMS = ("a", "b")

Frames = set[tuple[str, int]]


@st.composite
def stores(draw: st.DrawFn) -> list[Span]:
    """Spans of two streams as they stand in a store: in order, with holes where records were acknowledged."""
    ends = dict.fromkeys(STREAMS, 0)
    spans: list[Span] = []
    for place in range(draw(st.integers(0, 30))):
        stream = draw(st.sampled_from(STREAMS))
        count = draw(st.integers(1, 5))
        index = ends[stream] + draw(st.sampled_from([0, 0, 0, 7]))
        ends[stream] = index + count
        reason: GapReason | None = draw(st.sampled_from([None, None, None, "overrun", "outbox_full"]))
        pinned = draw(st.integers(0, 5)) == 0
        size = 700 if reason is None else 170
        spans.append(Span(place, stream, 1, index, count, reason, "cbor", size, pinned))
    return spans


def frames_of(spans: list[Span]) -> Frames:
    return {(span.stream, index) for span in spans for index in range(span.index, span.index + span.count)}


@settings(max_examples=300)
@given(stores(), st.integers(0, 12_000), st.sampled_from(["batches", "gaps"]))
def test_what_goes_is_what_is_declared(spans: list[Span], excess: int, what: Literal["batches", "gaps"]) -> None:
    runs = plan(spans, excess, what)
    by_place = {span.place: span for span in spans}
    for run in runs:
        members = [by_place[place] for place in run.members]
        assert run.place == members[0].place
        assert {(run.stream, index) for index in range(run.index, run.end)} == frames_of(members)
        assert run.count == sum(span.count for span in members), "no frame that was acknowledged is declared lost"
        assert not any(span.pinned for span in members)
        assert run.frames == sum(span.count for span in members if span.reason is None)
        assert run.batch_bytes + run.gap_bytes == sum(span.size for span in members)
        if what == "batches":
            assert {span.reason for span in members} <= {None, "outbox_full"}
        else:
            assert all(span.reason is not None for span in members)
        assert run.batches or len(members) > 1, "a gap alone stays as it is"
    places = [place for run in runs for place in run.members]
    assert len(places) == len(set(places))


@settings(max_examples=300)
@given(stores(), st.integers(1, 12_000))
def test_the_oldest_batches_go_and_no_more_than_needed(spans: list[Span], excess: int) -> None:
    gone = {place for run in plan(spans, excess, "batches") for place in run.members}
    batches = [span for span in spans if span.reason is None and not span.pinned]
    dropped = [span for span in batches if span.place in gone]
    assert dropped == batches[: len(dropped)]
    freed = sum(span.size for span in dropped)
    merged = 170 * len(spans)
    assert freed - 700 < excess
    assert freed + merged >= excess or len(dropped) == len(batches)


@given(stores())
def test_with_room_enough_nothing_goes(spans: list[Span]) -> None:
    assert plan(spans, 0, "batches") == []


def test_adjacent_losses_of_one_stream_are_one_gap_though_another_stands_between() -> None:
    spans = [Span(place, "ab"[place % 2], 1, place // 2 * 10, 10, None, "cbor", 700) for place in range(20)]
    first, second = plan(spans, 1 << 20, "batches")
    assert (first.stream, first.index, first.end, first.place) == ("a", 0, 100, 0)
    assert (second.stream, second.index, second.end, second.place) == ("b", 0, 100, 1)
    assert first.gap.reason == "outbox_full"
