"""Lost rows counted by the instrument's own numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.serial.counters import Counters
from boards.serial.losses import CountByNumber, wraps_at
from boards.serial.parsers import Refusal


def numbered(*numbers: int, modulo: int | None = None) -> tuple[CountByNumber, Counters]:
    counters = Counters()
    losses = CountByNumber(modulo, counters)
    losses.opened(again=False)
    for number in numbers:
        losses.before(number)
    return losses, counters


def test_numbers_that_follow_each_other_mean_no_loss_whatever_came_between() -> None:
    losses, _ = numbered(4)
    assert losses.refused() == (0, "undecodable")
    assert losses.before(5) == (0, "undecodable")


@pytest.mark.parametrize(("refused", "reason"), [(0, "overrun"), (1, "undecodable"), (9, "undecodable")])
def test_a_jump_is_the_exact_loss_and_traces_on_the_wire_say_why(refused: int, reason: str) -> None:
    losses, _ = numbered(4)
    for _ in range(refused):
        losses.refused()
    assert losses.before(8) == (3, reason)


def test_rows_sent_while_unplugged_are_declared_so() -> None:
    losses, _ = numbered(4)
    assert losses.cut() == (0, "undecodable")
    losses.opened(again=True)
    losses.refused()
    assert losses.before(100) == (95, "unplugged")
    assert losses.before(102) == (1, "overrun")


def test_opening_after_a_mere_close_begins_anew() -> None:
    losses, _ = numbered(4)
    losses.opened(again=False)
    assert losses.before(100) == (0, "overrun")


def test_before_the_first_number_frames_that_could_not_be_decoded_count() -> None:
    losses, _ = numbered()
    losses.refused()
    losses.refused()
    assert losses.before(100) == (2, "undecodable")


@pytest.mark.parametrize("number", [4, 3, 0])
def test_an_instrument_that_starts_anew_does_not_make_a_loss_of_its_own(number: int) -> None:
    losses, counters = numbered(4)
    assert losses.before(number) == (0, "overrun")
    assert losses.before(number + 2) == (1, "overrun")
    assert counters.restarts == 1


@pytest.mark.parametrize(("last", "number", "lost"), [(254, 255, 0), (255, 0, 0), (250, 3, 8), (255, 127, 127)])
def test_packed_numbers_wrap(last: int, number: int, lost: int) -> None:
    losses, counters = numbered(last, modulo=256)
    assert losses.before(number) == (lost, "overrun")
    assert counters.restarts == 0


def test_a_signed_number_wraps_to_its_lowest() -> None:
    losses, _ = numbered(127, modulo=256)
    assert losses.before(-128) == (0, "overrun")


@pytest.mark.parametrize("number", [1.5, None])
def test_a_number_that_is_not_whole_refuses_its_row(number: float | None) -> None:
    losses, _ = numbered(4)
    assert isinstance(losses.before(number), Refusal)


@pytest.mark.parametrize(("dtype", "modulo"), [("uint8", 256), ("int16", 65_536), ("float64", None)])
def test_packed_numbers_wrap_at_their_size_and_text_never(dtype: str, modulo: int | None) -> None:
    assert wraps_at(dtype) == modulo


@given(kept=st.lists(st.booleans(), min_size=1, max_size=400), modulo=st.sampled_from([None, 1024]))
def test_rows_and_losses_add_up_to_the_rows_sent(kept: list[bool], modulo: int | None) -> None:
    losses, counters = numbered(modulo=modulo)
    declared, came = 0, [row for row, keep in enumerate(kept) if keep]
    for row in came:
        loss = losses.before(row % modulo if modulo else row)
        assert not isinstance(loss, Refusal)
        declared += loss[0]
    assert not came or len(came) + declared == came[-1] - came[0] + 1
    assert counters.restarts == 0
