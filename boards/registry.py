"""Board names and the classes behind them, imported only when chosen."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points

from boards.base import Board
from boards.errors import BoardUnavailable
from boards.options import did_you_mean

ENTRY_POINT_GROUP = "headwater.boards"

BOARDS: dict[str, tuple[str, str]] = {
    "simulated": ("boards.simulated", "SimulatedBoard"),
}


def board_names() -> list[str]:
    """All names that `load_board` knows: ours, then those of other distributions."""
    others = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)} - BOARDS.keys()
    return [*BOARDS, *sorted(others)]


def load_board(name: str) -> type[Board]:
    """The class of a board. Raises BoardUnavailable, with what to do, if it cannot be imported."""
    if name in BOARDS:
        module, attribute = BOARDS[name]
        board: type[Board] = getattr(import_module(module), attribute)
        return board
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        try:
            board = point.load()
        except Exception as error:
            raise BoardUnavailable(f"board {name!r} of {point.value} cannot be loaded: {error}") from error
        return board
    names = board_names()
    raise BoardUnavailable(f"there is no board {name!r}; there are {', '.join(names)}{did_you_mean(name, names)}")


@dataclass(frozen=True, slots=True)
class Found:
    """A board by name, and whether it can be used on this machine."""

    name: str
    summary: str
    unavailable: str | None
    """Why not, and what to do about it; None if it can be used."""


def survey() -> list[Found]:
    """Every board, ours first."""
    found = []
    for name in board_names():
        try:
            board = load_board(name)
        except BoardUnavailable as error:
            found.append(Found(name, "", str(error)))
        else:
            found.append(Found(name, board.summary, board.availability()))
    return found
