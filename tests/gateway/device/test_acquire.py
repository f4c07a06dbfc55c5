"""The thread of one source: losses, sources that go away and come back, and the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from boards.base import READ_PATIENCE_S, Block, Channel, LossReason, SampleSource, SourceRequest
from boards.errors import SourceLost
from gateway.device.acquire import Acquisition
from gateway.device.batcher import Batcher, BatchPlan
from gateway.device.clocks import Clocks
from gateway.model import Batch, Gap, Message
from tests.support.waiting import wait_until

RATE = Fraction(1000)
MS = 1_000_000
"""One frame, in ns."""

Step = Block | Exception


class ScriptedSource(SampleSource):
    """Does what its script says, step by step, and then says that nothing comes."""

    def __init__(self, *script: Step, opens: tuple[Exception | None, ...] = ()) -> None:
        super().__init__(SourceRequest((Channel("a", "A0"),), RATE))
        self._script: Iterator[Step] = iter(script)
        self._opens = iter(opens)
        self.opened = 0
        self.closed = 0
        self.is_open = False
        self.exhausted = threading.Event()
        self.reading = threading.Event()

    def open(self) -> None:
        self.opened += 1
        failure = next(self._opens, None)
        if failure is not None:
            raise failure
        self.is_open = True

    def read(self) -> Block:
        assert self.is_open, "read() of a source that is not open"
        step = next(self._script, None)
        if isinstance(step, Exception):
            self.is_open = False
            raise step
        if step is not None:
            return step
        self.exhausted.set()
        threading.Event().wait(0.001)
        return Block(np.empty((0, 1), dtype=np.int16), 0)

    def close(self) -> None:
        self.closed += 1
        self.is_open = False


def frames(at_ms: int, count: int, lost: int = 0, reason: LossReason = "overrun") -> Block:
    """Frames whose values are the milliseconds at which they were taken."""
    values = np.arange(at_ms, at_ms + count, dtype=np.int16).reshape(-1, 1)
    return Block(values, at_ms * MS, lost, reason)


Events = list[tuple[str, dict[str, Any]]]

PATIENCE_S = 20


def acquire(source: SampleSource, sink: Callable[[Message], None], events: Events | None = None) -> Acquisition:
    clock = Clocks(lambda _, __: None).stream(RATE)
    batcher = Batcher(1, BatchPlan(RATE, 10, 0), clock)
    told: Events = [] if events is None else events
    return Acquisition(
        "s", source, RATE, batcher, clock, sink, lambda event, content: told.append((event, content))
    )


def run(source: ScriptedSource) -> list[tuple[int, int, str]]:
    """Run the whole script; first index, how many, and the reason of a gap."""
    messages: list[Message] = []
    acquisition = acquire(source, messages.append)
    acquisition.start()
    assert source.exhausted.wait(20)
    assert acquisition.stop(PATIENCE_S)
    assert acquisition.failure is None
    return [(m.index, m.frames, "") if isinstance(m, Batch) else (m.index, m.count, m.reason) for m in messages]


def test_blocks_become_batches_and_the_rest_is_handed_on_at_the_end() -> None:
    assert run(ScriptedSource(frames(0, 7), frames(7, 7))) == [(0, 10, ""), (10, 4, "")]


def test_losses_that_the_source_declares_are_gaps_in_their_place() -> None:
    source = ScriptedSource(frames(0, 5), frames(12, 5, lost=7, reason="late"))
    assert run(source) == [(0, 5, ""), (5, 7, "late"), (12, 5, "")]


def test_what_was_due_while_the_source_was_away_is_declared_unplugged() -> None:
    source = ScriptedSource(frames(0, 5), SourceLost("gone"), frames(105, 5))
    assert run(source) == [(0, 5, ""), (5, 100, "unplugged"), (105, 5, "")]
    assert source.opened == 2
    assert source.closed == 2


def test_what_the_source_itself_declares_of_the_outage_is_not_declared_twice() -> None:
    source = ScriptedSource(frames(0, 5), SourceLost("gone"), frames(105, 5, lost=100, reason="unplugged"))
    assert run(source) == [(0, 5, ""), (5, 100, "unplugged"), (105, 5, "")]


def test_an_outage_that_cost_no_frame_is_no_gap() -> None:
    assert run(ScriptedSource(frames(0, 5), SourceLost("gone"), frames(5, 5))) == [(0, 5, ""), (5, 5, "")]


def test_frames_before_an_outage_are_handed_on_at_its_beginning() -> None:
    messages: list[Message] = []
    source = ScriptedSource(frames(0, 5), *(SourceLost("gone") for _ in range(1000)))
    acquisition = acquire(source, messages.append)
    acquisition.start()
    wait_until(lambda: messages, "the frames")
    assert [message.end for message in messages] == [5]
    assert acquisition.stop(PATIENCE_S)


def test_the_hardware_is_given_back_before_the_wait_for_it() -> None:
    source = ScriptedSource(
        frames(0, 5), SourceLost("gone"), opens=(None, *(SourceLost("no") for _ in range(1000)))
    )
    acquisition = acquire(source, lambda _: None)
    acquisition.start()
    wait_until(
        lambda: acquisition.progress_ns > time.monotonic_ns() and source.closed == source.opened,
        "a wait with the source closed",
    )
    assert acquisition.stop(PATIENCE_S)


def test_each_of_several_outages_is_counted_from_the_last_frame_before_it() -> None:
    source = ScriptedSource(
        frames(0, 5), SourceLost("once"), frames(25, 5), SourceLost("twice"), SourceLost("thrice"), frames(130, 5)
    )
    gaps = [message for message in run(source) if message[2]]
    assert gaps == [(5, 20, "unplugged"), (30, 100, "unplugged")]


def test_a_source_that_cannot_be_opened_is_tried_again() -> None:
    source = ScriptedSource(frames(0, 10), opens=(SourceLost("not yet"), SourceLost("not yet"), None))
    assert run(source) == [(0, 10, "")]
    assert source.opened == source.closed == 3


def test_blocks_in_which_nothing_came_change_nothing() -> None:
    nothing = Block(np.empty((0, 1), dtype=np.int16), 3 * MS)
    assert run(ScriptedSource(nothing, frames(0, 5), nothing, frames(5, 5))) == [(0, 10, "")]


def test_an_outage_that_ends_in_a_block_with_nothing_is_counted_at_the_first_frame() -> None:
    nothing = Block(np.empty((0, 1), dtype=np.int16), 50 * MS)
    source = ScriptedSource(frames(0, 5), SourceLost("gone"), nothing, frames(105, 5))
    assert run(source) == [(0, 5, ""), (5, 100, "unplugged"), (105, 5, "")]


def test_a_source_that_flaps_is_not_counted_twice() -> None:
    """As a polled one does: back, it declares what it missed, and is gone before its first frame."""

    def back(at_ms: float, lost: int) -> Block:
        return Block(np.empty((0, 1), dtype=np.int16), int(at_ms * MS), lost, "unplugged")

    source = ScriptedSource(
        frames(0, 5),
        SourceLost("gone"),
        back(105.9, lost=100),  # within frame 105, which is read now and cannot be
        SourceLost("gone again"),
        back(207.9, lost=102),
        SourceLost("and again"),
        frames(210, 5, lost=3, reason="unplugged"),
    )
    messages = run(source)
    assert sum(count for _, count, reason in messages if reason) == 205
    assert messages[-1] == (210, 5, "")


def test_a_loss_declared_alone_before_an_outage_is_not_counted_twice() -> None:
    overrun = Block(np.empty((0, 1), dtype=np.int16), 55 * MS, 50, "overrun")
    source = ScriptedSource(frames(0, 5), overrun, SourceLost("gone"), frames(105, 5))
    assert run(source) == [(0, 5, ""), (5, 50, "overrun"), (55, 50, "unplugged"), (105, 5, "")]


def test_a_stop_waits_for_no_backoff() -> None:
    source = ScriptedSource(opens=tuple(SourceLost("never there") for _ in range(1000)))
    acquisition = acquire(source, lambda _: None)
    acquisition.start()
    wait_until(lambda: source.opened >= 3, "three tries")
    tries = source.opened
    assert acquisition.stop(PATIENCE_S)
    assert source.opened <= tries + 1
    assert acquisition.failure is None


def test_a_stop_ends_the_thread_and_closes_the_source() -> None:
    source = ScriptedSource(frames(0, 3))
    messages: list[Message] = []
    acquisition = acquire(source, messages.append)
    acquisition.start()
    assert source.exhausted.wait(20)
    assert messages == []
    assert acquisition.stop(PATIENCE_S)
    assert [message.end for message in messages] == [3]
    assert not source.is_open
    assert not any(thread.name == "acquire s" for thread in threading.enumerate())


@pytest.mark.parametrize("bug", [ValueError("a bug in the driver"), OSError("a driver that raises what it likes")])
def test_any_other_error_ends_the_thread_with_what_there_was_and_is_told(bug: Exception) -> None:
    source = ScriptedSource(frames(0, 3), bug)
    messages: list[Message] = []
    acquisition = acquire(source, messages.append)
    acquisition.start()
    wait_until(lambda: acquisition.failure is not None, "the failure")
    assert acquisition.stop(PATIENCE_S)
    assert acquisition.failure is bug
    assert [message.end for message in messages] == [3]
    assert source.closed == 1


def test_a_source_s_patience_is_short_enough_for_a_prompt_stop() -> None:
    assert READ_PATIENCE_S <= 0.5


def test_gaps_are_of_the_batcher_s_epoch() -> None:
    messages: list[Message] = []
    source = ScriptedSource(frames(4, 1, lost=4))
    acquisition = acquire(source, messages.append)
    acquisition.start()
    assert source.exhausted.wait(20)
    assert acquisition.stop(PATIENCE_S)
    assert messages[0] == Gap(1, 0, 4, "overrun")


def test_an_outage_is_told_when_it_begins_and_when_it_is_over() -> None:
    events: Events = []
    source = ScriptedSource(
        frames(0, 10),
        SourceLost("the plug"),
        frames(105, 5),
        opens=(None, SourceLost("no"), SourceLost("no"), None),
    )
    acquisition = acquire(source, lambda _: None, events)
    acquisition.start()
    assert source.exhausted.wait(PATIENCE_S)
    assert acquisition.stop(PATIENCE_S)
    assert [event for event, _ in events] == ["source_lost", "source_back"], "not once a try"
    assert events[0][1] == {"stream": "s", "index": 10, "error": "the plug"}
    assert events[1][1] == {"stream": "s", "index": 105}


def test_a_source_that_hangs_holds_no_stop_up_for_longer_than_asked() -> None:
    hanging = threading.Event()

    class Hanging(ScriptedSource):
        def read(self) -> Block:
            self.exhausted.set()
            hanging.wait(PATIENCE_S)
            return frames(0, 1)

    source = Hanging()
    acquisition = acquire(source, lambda _: None)
    acquisition.start()
    assert source.exhausted.wait(PATIENCE_S)
    before = acquisition.progress_ns
    assert not acquisition.stop(0.01)
    assert acquisition.progress_ns == before
    hanging.set()
    assert acquisition.stop(PATIENCE_S)


def test_a_source_that_is_tried_again_and_again_does_not_hang() -> None:
    source = ScriptedSource(opens=tuple(SourceLost("never there") for _ in range(1000)))
    acquisition = acquire(source, lambda _: None)
    acquisition.start()
    for tries in range(1, 4):
        wait_until(lambda tries=tries: source.opened > tries, "another try")  # type: ignore[misc]
        before = acquisition.progress_ns
        wait_until(lambda before=before: acquisition.progress_ns > before, "progress")  # type: ignore[misc]
    assert acquisition.stop(PATIENCE_S)


def test_progress_is_seen_though_nothing_comes() -> None:
    source = ScriptedSource()
    acquisition = acquire(source, lambda _: None)
    acquisition.start()
    start = time.monotonic_ns()
    wait_until(lambda: acquisition.progress_ns > start, "progress")
    assert acquisition.acquired == 0
    assert acquisition.stop(PATIENCE_S)
