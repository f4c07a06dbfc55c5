"""Faults: what each costs is known exactly, and every frame of it is declared."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boards.base import Block, Channel, SampleSource, SourceRequest
from boards.errors import BadOption, SourceLost, UnknownInput
from boards.faults import Drift, Fault, FaultPlan, Jitter, Overrun, Stall, Stuck, Unplug, parse_seconds
from boards.simulated import SimulatedBoard
from tests.boards.contract import HANG_S

RATE = 1000
NS = 1_000_000_000


def request(rate: int = RATE, block: int = 40) -> SourceRequest:
    return SourceRequest((Channel("ramp", "AIN3"), Channel("noise", "AIN5")), Fraction(rate), block)


@dataclass
class Account:
    """Everything that a source said, by index; each frame's value is compared with what it should be."""

    board: SimulatedBoard
    source: SampleSource
    acquired: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    gaps: list[tuple[int, int, str]] = field(default_factory=list)
    blocks: list[tuple[int, Block]] = field(default_factory=list)
    times_lost: int = 0
    compare: bool = True
    expected: NDArray[np.int16] = field(init=False)

    @property
    def index(self) -> int:
        return self.acquired + sum(self.lost.values())

    def run(self, frames: int) -> Account:
        """Read, and re-open when the source is lost, until so many frames are accounted for."""
        give_up = time.monotonic() + HANG_S
        self.expected = self.board.expected(self.source.request, 0, frames + 1000)
        while self.index < frames:
            assert time.monotonic() < give_up, f"stopped at frame {self.index}"
            try:
                self._take(self.source.read())
            except SourceLost:
                self.times_lost += 1
                self._reopen(give_up)
        return self

    def _take(self, block: Block) -> None:
        if block.lost:
            self.gaps.append((self.index, block.lost, block.reason))
            self.lost[block.reason] = self.lost.get(block.reason, 0) + block.lost
        if self.compare:
            expected = self.expected[self.index : self.index + len(block.frames)]
            assert np.array_equal(block.frames, expected), f"wrong values at frame {self.index}"
        self.blocks.append((self.index, block))
        self.acquired += len(block.frames)

    def _reopen(self, give_up: float) -> None:
        while time.monotonic() < give_up:
            try:
                return self.source.open()
            except SourceLost:
                time.sleep(0.005)
        raise AssertionError("it never came back")


def account(*faults: dict[str, Any], frames: int, compare: bool = True, **options: Any) -> Account:
    board = SimulatedBoard({"pace": "free", "faults": faults, **options})
    with board.open_source(request()) as source:
        return Account(board, source, compare=compare).run(frames)


def test_a_scheduled_overrun_costs_exactly_its_frames_where_it_was_due() -> None:
    told = account({"kind": "overrun", "at": "2s", "frames": 37}, frames=60_000)
    assert told.gaps == [(2000, 37, "overrun")]
    assert told.index - told.acquired == 37


def test_overruns_may_touch_and_overlap() -> None:
    told = account(
        {"kind": "overrun", "at": 0, "frames": 5},
        {"kind": "overrun", "at": "5ms", "frames": 5},
        {"kind": "overrun", "at": "7ms", "frames": 10},
        {"kind": "overrun", "at": "1s", "frames": 1},
        frames=2000,
    )
    assert told.gaps == [(0, 17, "overrun"), (1000, 1, "overrun")]


def test_an_unplugged_board_costs_what_was_due_until_it_was_back() -> None:
    told = account({"kind": "unplug", "at": "1.5s", "duration": "250ms"}, frames=3000)
    assert told.times_lost == 1
    assert told.gaps == [(1500, 250, "unplugged")]


def test_in_real_time_it_comes_back_after_its_duration_and_not_before() -> None:
    told = account({"kind": "unplug", "at": "100ms", "duration": "150ms"}, frames=500, pace="realtime")
    [(index, count, reason)] = [gap for gap in told.gaps if gap[2] == "unplugged"]
    assert (index, reason) == (100, "unplugged")
    assert count >= 150
    after = next(block for at, block in told.blocks if at >= index + count and len(block.frames))
    assert after.monotonic_ns - told.blocks[0][1].monotonic_ns == (index + count) * NS // RATE


def test_an_overrun_that_runs_into_an_outage_is_told_apart_from_it() -> None:
    told = account(
        {"kind": "overrun", "at": "90ms", "frames": 100},
        {"kind": "unplug", "at": "100ms", "duration": "50ms"},
        frames=500,
    )
    assert told.gaps == [(90, 10, "overrun"), (100, 50, "unplugged"), (150, 40, "overrun")]


def test_a_short_stall_costs_nothing() -> None:
    told = account(
        {"kind": "stall", "at": "100ms", "duration": "200ms"}, frames=1000, pace="realtime", buffer="30s"
    )
    assert told.gaps == []


def test_nothing_is_handed_over_during_a_stall() -> None:
    board = SimulatedBoard({"faults": [{"kind": "stall", "at": 0, "duration": "700ms"}], "buffer": "30s"})
    with board.open_source(request()) as source:
        assert len(source.read().frames) == 0
        assert Account(board, source).run(1000).gaps == []


def test_a_stall_longer_than_the_drivers_buffer_costs_the_oldest_frames() -> None:
    told = account(
        {"kind": "stall", "at": "100ms", "duration": "400ms"}, frames=800, pace="realtime", buffer="100ms"
    )
    assert {reason for _, _, reason in told.gaps} == {"overrun"}
    assert sum(told.lost.values()) >= 300 - 40


def test_at_free_pace_a_stall_costs_exactly_what_exceeds_the_buffer() -> None:
    told = account({"kind": "stall", "at": "2s", "duration": "1.5s"}, frames=5000, buffer="1s")
    assert told.gaps == [(2000, 500, "overrun")]
    assert account({"kind": "stall", "at": "2s", "duration": "1s"}, frames=5000).gaps == []


def test_a_stuck_input_holds_its_last_value_and_the_others_go_on() -> None:
    told = account(
        {"kind": "stuck", "at": "100ms", "duration": "50ms", "input": "P9_38"}, frames=1000, compare=False
    )
    read = np.concatenate([block.frames for _, block in told.blocks])[:1000]
    expected = told.board.expected(request(), 0, 1000)
    assert np.array_equal(read[:, 1], expected[:, 1])
    assert set(read[100:150, 0].tolist()) == {int(expected[99, 0])}
    assert np.array_equal(np.delete(read, slice(100, 150), 0), np.delete(expected, slice(100, 150), 0))


def test_jitter_moves_stamps_by_its_amount_at_most_and_never_back() -> None:
    told = account({"kind": "jitter", "at": "1s", "duration": "5s", "amount": "3ms"}, frames=8000)
    start = told.blocks[0][1].monotonic_ns
    errors = [(at, block.monotonic_ns - start - at * NS // RATE) for at, block in told.blocks]
    inside = [error for at, error in errors if 1000 <= at < 6000]
    assert all(error == 0 for at, error in errors if not 1000 <= at < 6000)
    assert min(inside) >= 0
    assert 1_500_000 < max(inside) < 3_000_000
    assert told.gaps == []


def test_a_drifting_clock_is_seen_in_the_stamps_and_loses_nothing() -> None:
    told = account({"kind": "drift", "at": "10s", "duration": "20s", "ppm": 100}, frames=60_000)
    stamps = {at: block.monotonic_ns for at, block in told.blocks}
    assert stamps[10_000] - stamps[0] == 10 * NS
    assert stamps[30_000] - stamps[10_000] == pytest.approx(20 * NS / 1.0001, abs=2)
    assert stamps[60_000 - 40] - stamps[30_000] == pytest.approx((30 - 0.04) * NS, abs=2)
    assert told.gaps == []


def test_a_drifting_clock_makes_its_own_number_of_frames_in_real_time() -> None:
    board = SimulatedBoard({"faults": [{"kind": "drift", "ppm": 100_000}]})
    with board.open_source(request()) as source:
        told = Account(board, source).run(550)
    span = told.blocks[-1][1].monotonic_ns - told.blocks[0][1].monotonic_ns
    assert span == pytest.approx(told.blocks[-1][0] * NS / 1100, abs=2)


FAULTS: list[dict[str, Any]] = [
    {"kind": "overrun", "at": "5s", "frames": 500},
    {"kind": "unplug", "at": "5s", "duration": "3s"},
    {"kind": "stall", "at": "5s", "duration": "4s"},
    {"kind": "jitter", "at": "5s", "amount": "2ms"},
    {"kind": "drift", "at": "5s", "ppm": -200},
    {"kind": "stuck", "at": "5s", "input": "AIN5"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault["kind"]))
def test_over_60_s_acquired_and_declared_lost_are_the_frames_due(fault: dict[str, Any]) -> None:
    told = account(fault, frames=60 * RATE, compare=fault["kind"] != "stuck")
    assert told.acquired + sum(told.lost.values()) == told.index
    assert sum(told.lost.values()) == {"overrun": 500, "unplug": 3000, "stall": 3000}.get(fault["kind"], 0)
    last_at, last = told.blocks[-1]
    if fault["kind"] not in ("drift", "jitter"):
        assert last.monotonic_ns - told.blocks[0][1].monotonic_ns == last_at * NS // RATE


@given(
    faults=st.lists(
        st.one_of(
            st.builds(Overrun, at=st.fractions(0, 3), frames=st.integers(1, 800)),
            st.builds(Unplug, at=st.fractions(0, 3), duration=st.fractions(0, 1)),
            st.builds(Stall, at=st.fractions(0, 3), duration=st.fractions(0, 3)),
            st.builds(Jitter, at=st.fractions(0, 3), duration=st.fractions(0, 1), amount=st.fractions(0, 1)),
            st.builds(Drift, at=st.fractions(0, 3), duration=st.fractions(0, 1), ppm=st.floats(-500, 500)),
        ),
        max_size=8,
    ),
    block=st.integers(1, 300),
)
@settings(max_examples=30, deadline=None)
def test_any_mixture_of_faults_accounts_for_every_frame_once(faults: list[Fault], block: int) -> None:
    board = SimulatedBoard({"pace": "free", "faults": [dict(fault) for fault in faults]})
    with board.open_source(request(block=block)) as source:
        told = Account(board, source).run(5000)
    overrun = {at for f in faults if isinstance(f, Overrun) for at in meets(f, f.frames)}
    gone = {
        at for f in faults if isinstance(f, Unplug) and f.duration for at in meets(f, -(-f.duration * RATE // 1))
    }
    lost = {at for start, count, _ in told.gaps for at in range(start, start + count)}
    assert {at for at in overrun if at < told.index} <= lost
    assert {at for at in gone if at < told.index} <= lost
    stalls = any(isinstance(f, Stall) for f in faults)
    assert stalls or lost <= overrun | gone


def meets(fault: Fault, count: int | Fraction) -> range:
    first = -(-fault.at * RATE // 1)
    return range(int(first), int(first + count))


@pytest.mark.parametrize("style", ["buffered", "polled"])
def test_faults_by_request_from_another_thread_lose_nothing_silently(style: str) -> None:
    board = SimulatedBoard({"style": style, "buffer": "100ms"})
    stop = threading.Event()

    def trouble() -> None:
        for fault in (
            Unplug(duration=Fraction(1, 20)),
            Stall(duration=Fraction(3, 20)),
            Jitter(amount=Fraction(1, 500)),
        ):
            board.inject(fault)
            stop.wait(0.2)

    thread = threading.Thread(target=trouble)
    with board.open_source(request(200, block=10)) as source:
        told = Account(board, source).run(20)
        thread.start()
        told.run(250)
        stop.set()
        thread.join()
    assert told.lost["unplugged"] >= 9
    assert told.times_lost == 1
    for at, block in told.blocks:
        if len(block.frames):
            error = block.monotonic_ns - told.blocks[0][1].monotonic_ns - at * NS // 200
            assert 0 <= error <= 2_000_000


def test_a_request_at_free_pace_meets_the_next_frame() -> None:
    board = SimulatedBoard({"pace": "free"})
    with board.open_source(request()) as source:
        told = Account(board, source).run(400)
        board.inject(Overrun(frames=7))
        told.run(500)
        board.inject(Unplug(duration=Fraction(1, 10)))
        told.run(1000)
    assert told.gaps == [(400, 7, "overrun"), (527, 100, "unplugged")]


def test_a_stalled_polled_source_declares_late_frames() -> None:
    told = account(
        {"kind": "stall", "at": "100ms", "duration": "100ms"}, frames=400, pace="realtime", style="polled"
    )
    assert sum(count for at, count, reason in told.gaps if reason == "late" and at > 90) >= 99


def test_a_polled_source_reads_stuck_and_unplugged_inputs() -> None:
    board = SimulatedBoard(
        {
            "style": "polled",
            "faults": [
                {"kind": "stuck", "at": "50ms", "input": "AIN5"},
                {"kind": "unplug", "at": "200ms", "duration": "50ms"},
            ],
        }
    )
    with board.open_source(request()) as source:
        told = Account(board, source, compare=False).run(400)
    held = board.expected(request(), 49, 1)[0, 1]
    for at, block in told.blocks:
        ramp = board.expected(request(), at, len(block.frames))[:, 0]
        assert np.array_equal(block.frames[:, 0], ramp)
        assert all(value == held for frame, value in enumerate(block.frames[:, 1], at) if frame >= 50)
    assert told.lost["unplugged"] >= 50


@pytest.mark.parametrize("fault", [{"kind": "overrun", "frames": 1}, {"kind": "drift", "ppm": 5}])
def test_a_polled_source_refuses_faults_it_cannot_have(fault: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=rf"{fault['kind']}' needs style 'buffered'.*allowed: unplug"):
        SimulatedBoard({"style": "polled", "faults": [fault]})


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "unplugg"}, r"faults\[0\]: kind: found 'unplugg'; allowed: overrun, .*did you mean 'unplug'"),
        ({}, r"faults\[0\]: kind: found 'nothing'; allowed: overrun"),
        ({"kind": "overrun", "frames": 0}, r"faults\[0\]: frames: .*greater than 0; found 0"),
        ({"kind": "overrun"}, r"faults\[0\]: frames: is missing"),
        ({"kind": "unplug", "at": "soon"}, r"faults\[0\]: at: a duration must be like .*; found 'soon'"),
        ({"kind": "unplug", "at": -1}, r"faults\[0\]: at: a duration must be like .*; found -1"),
        ({"kind": "stall"}, r"faults\[0\]: duration: is missing"),
        ({"kind": "drift", "ppm": 1e9}, r"faults\[0\]: ppm: .*less than or equal to 100000"),
        (
            {"kind": "stall", "duration": 1, "until": 2},
            r"faults\[0\]: until: unknown key; allowed here: kind, at, dur",
        ),
    ],
)
def test_a_wrong_schedule_is_refused_with_what_is_allowed(fault: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        SimulatedBoard({"faults": [fault]})


def test_a_stuck_input_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownInput, match="no input 'P9_99'"):
        SimulatedBoard().inject(Stuck(input="P9_99"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2s", 2),
        (0.5, Fraction(1, 2)),
        ("100ms", Fraction(1, 10)),
        ("50us", Fraction(1, 20_000)),
        ("1.5min", 90),
        ("1h", 3600),
    ],
)
def test_durations_are_exact(text: Any, seconds: Fraction) -> None:
    assert parse_seconds(text) == seconds


def test_a_plan_without_faults_hands_over_what_is_asked() -> None:
    span = FaultPlan(Fraction(10)).span(5, 3)
    assert (span.first, span.end, span.gone_at_end) == (5, 8, False)
