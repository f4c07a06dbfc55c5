"""What came of a stream, against a set of frames that does the same slowly."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.account import IntervalSet
from gateway.codec import CODECS
from gateway.errors import CodecError
from gateway.model import Batch, Gap, Message
from gateway.relay.delivery import Delivery, Span
from gateway.relay.intake import MAXIMUM_EPOCHS, Intake
from gateway.relay.skeleton import Skeleton
from tests.support.messages import batch, batches, same

codec = CODECS["cbor"]


def take(intake: Intake, *messages: Message) -> list[Delivery]:
    return [delivery for message in messages for delivery in intake.take(codec.encode(message))]


def spans(deliveries: list[Delivery]) -> list[tuple[int, int]]:
    return [(delivery.span.index, delivery.span.end) for delivery in deliveries]


def test_what_is_new_passes_with_the_bytes_it_came_with() -> None:
    intake = Intake()
    for index in range(0, 1000, 10):
        payload = codec.encode(batch(index, 10))
        (delivery,) = intake.take(payload)
        assert delivery.payload is payload
        assert (delivery.span, delivery.late) == (Span(1, index, index + 10), False)
        assert (delivery.utc_ns, delivery.last_utc_ns) == (batch(index).utc_ns, batch(index + 9).utc_ns)
        assert same(delivery.message, batch(index, 10))
    assert (intake.epoch, intake.end, intake.delivered, intake.last_utc_ns) == (1, 1000, 1000, batch(999).utc_ns)


def test_a_duplicate_is_dropped_and_counted() -> None:
    intake = Intake()
    assert len(take(intake, batch(0, 10), batch(10, 10))) == 2
    assert take(intake, batch(0, 10), batch(10, 10)) == []
    assert (intake.delivered, intake.duplicates) == (20, 20)


def test_what_overlaps_is_trimmed_and_what_fills_a_hole_is_late() -> None:
    intake = Intake()
    take(intake, batch(0, 10), batch(20, 10))
    assert intake.as_dict()["holes"] == [[10, 20]]
    (filled,) = take(intake, batch(5, 20))
    assert (filled.span, filled.late) == (Span(1, 10, 20), True)
    assert same(filled.message, batch(10, 10))
    assert (intake.duplicates, intake.as_dict()["holes"]) == (10, [])


def test_a_batch_around_known_frames_comes_in_parts() -> None:
    intake = Intake()
    take(intake, batch(0, 1), batch(10, 10))
    assert spans(take(intake, batch(1, 30))) == [(1, 10), (20, 31)]


def test_a_gap_is_trimmed_like_a_batch() -> None:
    intake = Intake()
    take(intake, batch(0, 10), batch(20, 10))
    (gap,) = take(intake, Gap(1, 5, 20, "overrun"))
    assert gap.message == Gap(1, 10, 10, "overrun")
    assert intake.lost == {"overrun": 10}


def test_who_comes_to_an_epoch_under_way_has_missed_nothing_and_the_next_is_watched_from_its_start() -> None:
    intake = Intake()
    take(intake, batch(1000, 10))
    assert intake.as_dict()["holes"] == []
    take(intake, batch(5, 5, epoch=2))
    assert (intake.epoch, intake.as_dict()["holes"]) == (2, [[0, 5]])


def test_late_ones_of_an_older_epoch_pass_and_change_nothing_of_the_newest() -> None:
    intake = Intake()
    take(intake, batch(0, 10, epoch=1), batch(0, 10, epoch=2))
    last = intake.last_utc_ns
    assert spans(take(intake, batch(10, 10, epoch=1))) == [(10, 20)]
    assert (intake.epoch, intake.end, intake.last_utc_ns) == (2, 10, last)


def test_what_a_birth_says_will_not_come_is_declared_and_what_it_says_will_come_is_not() -> None:
    intake = Intake()
    take(intake, batch(0, 10), batch(20, 10), batch(0, 10, epoch=2))
    declared = intake.end_epoch(1, 50, [(10, 15), (40, 50)])
    assert [delivery.message for delivery in declared] == [Gap(1, 15, 5, "crash"), Gap(1, 30, 10, "crash")]
    assert intake.lost == {"crash": 15}
    assert intake.end_epoch(1, 50, [(10, 15), (40, 50)]) == []
    assert intake.end_epoch(7, 50, []) == []


def test_what_was_known_before_a_restart_is_not_taken_again() -> None:
    intake = Intake()
    intake.restore(1, IntervalSet([(100, 200), (250, 300)]), 100)
    assert take(intake, batch(100, 50), batch(260, 10)) == []
    assert spans(take(intake, batch(200, 50))) == [(200, 250)]
    assert intake.as_dict()["holes"] == []


def test_epochs_are_bounded() -> None:
    intake = Intake()
    for epoch in range(1, 1000):
        take(intake, batch(0, 10, epoch=epoch))
    assert len(intake.accounts) == MAXIMUM_EPOCHS
    assert intake.epoch == 999
    take(intake, batch(0, 10, epoch=3))
    assert (len(intake.accounts), intake.epoch) == (MAXIMUM_EPOCHS, 999)


def test_a_stream_of_another_codec_is_delivered_as_cbor() -> None:
    (delivery,) = Intake().take(CODECS["json"].encode(batch(0, 10)), "json")
    assert same(codec.decode(delivery.payload), batch(0, 10))


def test_what_is_no_message_raises_and_changes_nothing() -> None:
    intake = Intake()
    take(intake, *(batch(index, 10) for index in range(0, 100, 10)))
    good = codec.encode(batch(100, 10))
    for bad in (b"", good[:-1], good.replace(b"av\x01", b"av\x02")):
        with pytest.raises(CodecError):
            intake.take(bad)
    assert intake.end == 100


pieces = st.tuples(st.integers(1, 2), st.integers(0, 60), st.integers(1, 20), st.booleans())


@given(st.lists(pieces, max_size=40))
def test_each_frame_passes_once_whatever_comes_in_whatever_order(
    messages: list[tuple[int, int, int, bool]],
) -> None:
    intake = Intake()
    known: set[tuple[int, int]] = set()
    for epoch, index, count, lost in messages:
        message = Gap(epoch, index, count, "late") if lost else batch(index, count, epoch=epoch)
        new = {(epoch, number) for number in range(index, index + count)} - known
        came = take(intake, message)
        passed = [(epoch, number) for delivery in came for number in range(*spans([delivery])[0])]
        assert sorted(passed) == sorted(new)
        assert all(same(delivery.message, codec.decode(delivery.payload)) for delivery in came)
        assert all((delivery.span.reason == "late") == lost for delivery in came)
        known |= new


@given(batches(), batches())
def test_a_skeleton_reads_what_the_codec_reads_or_nothing(known: Batch, other: Batch) -> None:
    skeleton = Skeleton.of(codec.encode(known), known)
    if skeleton is None:
        return
    similar = replace(
        known,
        epoch=other.epoch,
        index=other.index,
        utc_ns=other.utc_ns,
        monotonic_ns=other.monotonic_ns,
        data=np.roll(known.data, 1),
    )
    for candidate in (similar, other):
        payload = codec.encode(candidate)
        found = skeleton.match(payload)
        if found is not None:
            decoded = codec.decode(payload)
            assert isinstance(decoded, Batch)
            assert found == (decoded.epoch, decoded.index, decoded.utc_ns)
            assert skeleton.frames == decoded.frames
            assert skeleton.span_ns == decoded.times_ns()[-1] - decoded.utc_ns


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_skeleton_lets_no_damaged_payload_pass_that_the_codec_refuses(position: int, value: int) -> None:
    known = Batch(1 << 33, 1000, 1 << 60, 1 << 40, np.zeros((50, 2), np.int16), Fraction(500))
    payload = bytearray(codec.encode(known))
    skeleton = Skeleton.of(bytes(payload), known)
    assert skeleton is not None
    payload[position % len(payload)] = value
    if skeleton.match(bytes(payload)) is not None:
        codec.decode(bytes(payload))


def test_a_regular_stream_has_a_skeleton() -> None:
    """Or else the tests above prove nothing."""
    payload = codec.encode(batch(100, 10))
    skeleton = Skeleton.of(payload, batch(100, 10))
    assert skeleton is not None
    assert skeleton.match(codec.encode(batch(110, 10))) == (1, 110, batch(110).utc_ns)
