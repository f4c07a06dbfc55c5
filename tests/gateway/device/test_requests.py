"""Requests from whoever is on the broker: answered, refused, or too many."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.codec import find_codec
from gateway.device.kept import Kept
from gateway.device.outbox import Record
from gateway.device.requests import MOST_BYTES, MOST_WAITING, Requests
from gateway.model import Gap, GapReason
from tests.gateway.device.outboxes import FRAMES, batch
from tests.support.waiting import wait_until

EPOCH = 5


class Desk:
    """Takes requests, and remembers what it was told to send."""

    def __init__(self, kept: Kept, *, refuses: bool = False, fails: bool = False) -> None:
        self.sent: list[Record] = []
        self.sending = threading.Event()
        """The first record is to be sent."""
        self.may_send = threading.Event()
        self.may_send.set()
        self._refuses = refuses
        self._fails = fails
        self.requests = Requests(kept, {"ecg": "cbor", "text": "json"}, EPOCH, self._send)

    def _send(self, record: Record) -> bool:
        first = not self.sending.is_set()
        self.sending.set()
        self.may_send.wait(20)
        if first and self._fails:
            raise RuntimeError("what nobody thought of")
        self.sent.append(record)
        return not self._refuses

    def ask(self, content: Any, method: str = "resend") -> None:
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.requests.take(f"headwater/bbb1/request/{method}", payload)

    def wait_for(self, count: int) -> list[int]:
        """Wait until so many were sent; their batches' numbers."""
        wait_until(lambda: len(self.sent) >= count, f"{count} records")
        return [record.index // FRAMES for record in self.sent]


def kept_of(*numbers: int, room: int = 1000, **more: Any) -> Kept:
    kept = Kept(room * batch(0).size)
    for number in numbers:
        kept.add(batch(number, **{"epoch": EPOCH, **more}))
    return kept


@contextmanager
def desk_of(kept: Kept, **options: Any) -> Iterator[Desk]:
    desk = Desk(kept, **options)
    desk.requests.start()
    try:
        yield desk
    finally:
        desk.may_send.set()
        desk.requests.stop()


def resend(*ranges: Any, stream: Any = "ecg", epoch: Any = EPOCH) -> dict[str, Any]:
    return {"stream": stream, "epoch": epoch, "ranges": list(ranges)}


def test_what_is_asked_for_is_sent_in_order() -> None:
    with desk_of(kept_of(3, 0, 2, 1, 4)) as desk:
        desk.ask(resend([0, 3 * FRAMES]))
        assert desk.wait_for(3) == [0, 1, 2]


@pytest.mark.parametrize(("epoch", "reason"), [(EPOCH, "outbox_full"), (EPOCH - 1, "crash")])
def test_what_was_acknowledged_and_is_kept_no_more_is_declared_lost(epoch: int, reason: GapReason) -> None:
    with desk_of(kept_of(*range(6), room=2, epoch=epoch)) as desk:
        desk.ask(resend([FRAMES, 6 * FRAMES], epoch=epoch))
        assert desk.wait_for(3) == [1, 4, 5]
        gap = find_codec("cbor").decode(desk.sent[0].payload)
    assert gap == Gap(epoch, FRAMES, 3 * FRAMES, reason)


def test_a_gap_is_in_the_stream_s_codec() -> None:
    with desk_of(kept_of(0, 1, room=0, stream="text")) as desk:
        desk.ask(resend([0, 5], stream="text"))
        desk.wait_for(1)
        (gap,) = desk.sent
    assert (gap.codec, find_codec("json").decode(gap.payload)) == ("json", Gap(EPOCH, 0, 5, "outbox_full"))


def test_what_comes_by_itself_is_not_answered_for() -> None:
    with desk_of(kept_of(0, 4)) as desk:
        desk.ask(resend([FRAMES, 4 * FRAMES]))
        desk.ask(resend([0, 1]))
        assert desk.wait_for(1) == [0]


def test_many_who_ask_for_the_same_get_it_once() -> None:
    with desk_of(kept_of(*range(10))) as desk:
        desk.may_send.clear()
        desk.ask(resend([9 * FRAMES, 10 * FRAMES]))
        assert desk.sending.wait(20)
        for _ in range(100):
            desk.ask(resend([0, 2 * FRAMES], [FRAMES, 3 * FRAMES]))
        desk.may_send.set()
        assert desk.wait_for(4) == [9, 0, 1, 2]
        desk.ask(resend([4 * FRAMES, 5 * FRAMES]))
        assert desk.wait_for(5) == [9, 0, 1, 2, 4]


def test_a_flood_waits_in_bounded_room_and_does_not_hold_up_who_floods() -> None:
    with desk_of(kept_of(*range(10))) as desk:
        desk.may_send.clear()
        for _ in range(10 * MOST_WAITING):
            desk.ask(resend([0, 10 * FRAMES]))
        assert desk.requests._inbox.qsize() <= MOST_WAITING
        desk.may_send.set()
        desk.wait_for(10)


def test_an_answer_ends_where_it_cannot_be_sent_on() -> None:
    with desk_of(kept_of(*range(10)), refuses=True) as desk:
        desk.ask(resend([0, 10 * FRAMES]))
        desk.wait_for(1)
        desk.ask(resend([5 * FRAMES, 10 * FRAMES]))
        assert desk.wait_for(2) == [0, 5]


HOSTILE = {
    "no JSON": b"\xff\x00",
    "nested": b"[" * 100_000,
    "a list": b"[]",
    "nothing": {},
    "another stream": resend([0, 1], stream="eeg"),
    "a stream that is none": resend([0, 1], stream=5),
    "an epoch that is none": resend([0, 1], epoch="5"),
    "no ranges": {"stream": "ecg", "epoch": EPOCH, "ranges": 5},
    "an empty range": resend([5, 5]),
    "a range backwards": resend([9, 3]),
    "a negative range": resend([-5, 3]),
    "half a range": resend([5]),
    "floats": resend([0.0, 3.5]),
    "text": resend("0-5"),
    "too large": b" " * (MOST_BYTES + 1),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_request_is_refused_and_the_next_one_is_answered(kind: str) -> None:
    with desk_of(kept_of(0)) as desk:
        desk.ask(HOSTILE[kind])
        desk.ask(resend([0, 1]))
        assert desk.wait_for(1) == [0]


def test_an_unknown_method_is_refused_and_the_next_request_is_answered() -> None:
    with desk_of(kept_of(0)) as desk:
        desk.ask(resend([0, 1]), method="explode")
        desk.ask(resend([0, 1]))
        assert desk.wait_for(1) == [0]


def test_ranges_beyond_all_measure_cost_no_more_than_what_is_there() -> None:
    with desk_of(kept_of(*range(10))) as desk:
        desk.ask(resend(*([0, 10**300] for _ in range(150)), epoch=EPOCH))
        assert desk.wait_for(10) == list(range(10))


def test_an_error_in_sending_ends_no_thread() -> None:
    with desk_of(kept_of(0), fails=True) as desk:
        desk.ask(resend([0, 1]))
        assert desk.sending.wait(20)
        desk.ask(resend([0, 1]))
        assert desk.wait_for(1) == [0]


def test_a_stop_waits_for_no_flood() -> None:
    with desk_of(kept_of(*range(10))) as desk:
        desk.may_send.clear()
        for _ in range(2 * MOST_WAITING):
            desk.ask(resend([0, 10 * FRAMES]))
        stopping = threading.Thread(target=desk.requests.stop)
        stopping.start()
        desk.may_send.set()
        stopping.join(20)
        assert not stopping.is_alive()
        assert len(desk.sent) < 20


def test_a_stop_before_the_start_is_none() -> None:
    Desk(kept_of()).requests.stop()
