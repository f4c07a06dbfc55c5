"""Board names and the classes behind them, imported only when chosen."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from boards.base import Board
from boards.errors import BoardUnavailable
from boards.options import did_you_mean

ENTRY_POINT_GROUP = "headwater.boards"

BOARDS: dict[str, tuple[str, str]] = {
    "simulated": ("boards.simulated", "SimulatedBoard"),
    "beaglebone": ("boards.beaglebone", "BeagleBoneBoard"),
    "iio": ("boards.iio", "IioBoard"),
    "blinka": ("boards.blinka", "BlinkaBoard"),
    "serial": ("boards.serial", "SerialBoard"),
}

AUTO = "auto"
"""Not a board, but the wish for the one that belongs to this machine."""

MODEL_PATH = Path("/proc/device-tree/model")
"""What the machine calls itself, with a final NUL (Devicetree Specification, section 2.3.2)."""


@dataclass(frozen=True, slots=True)
class BoardEntry:
    """A line of `headwater boards`."""

    name: str
    origin: str
    """`headwater`, or the distribution that brought it."""
    board: type[Board] | None
    """None if it cannot be imported."""
    unavailable: str | None
    """None if it can be used on this machine, else why not and what to do."""


def board_names() -> list[str]:
    """All names that `load_board` knows, but for `auto`: ours, then those of other distributions."""
    return [*BOARDS, *sorted(_plug_ins())]


def load_board(name: str, model_path: Path = MODEL_PATH) -> type[Board]:
    """The class of a board; `auto` is the one for this machine.

    Raises BoardUnavailable, with what to do, if there is none of that name or it cannot be imported.
    """
    if name == AUTO:
        name = detect_board(model_path)
    if name in BOARDS:
        module, attribute = BOARDS[name]
        return _checked(name, getattr(import_module(module), attribute), module)
    point = _plug_ins().get(name)
    if point is not None:
        return _load_plug_in(point)
    names = board_names()
    near = did_you_mean(name, names)
    raise BoardUnavailable(f"there is no board {name!r}; there are {', '.join(names)} and {AUTO}{near}")


def list_boards() -> list[BoardEntry]:
    """Every board there is, and whether it can be used here. Raises nothing: a plug-in that fails is so listed."""
    return [_entry(name) for name in board_names()]


def detect_board(model_path: Path = MODEL_PATH) -> str:
    """The name of the board whose `models` fit the device tree's model. Raises BoardUnavailable if none does."""
    there = f"say which board: {', '.join(board_names())}"
    try:
        model = model_path.read_bytes().rstrip(b"\0\n").decode(errors="replace")
    except OSError as error:
        raise BoardUnavailable(
            f"board {AUTO!r} goes by the device tree's model, and {model_path} cannot be read "
            f"({error.strerror}); {there}"
        ) from error
    for entry in list_boards():
        if entry.board and any(part in model for part in entry.board.models):
            return entry.name
    raise BoardUnavailable(f"board {AUTO!r} knows no board for {model!r} (found in {model_path}); {there}")


def _plug_ins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in BOARDS}


def _load_plug_in(point: EntryPoint) -> type[Board]:
    try:
        loaded = point.load()
    except Exception as error:
        raise BoardUnavailable(f"board {point.name!r} of {point.value} cannot be loaded: {error}") from error
    return _checked(point.name, loaded, point.value)


def _checked(name: str, loaded: Any, where: str) -> type[Board]:
    if isinstance(loaded, type) and issubclass(loaded, Board):
        return loaded
    raise BoardUnavailable(f"board {name!r} of {where} is not a subclass of boards.Board but {loaded!r:.80}")


def _entry(name: str) -> BoardEntry:
    point = _plug_ins().get(name)
    origin = point.dist.name if point and point.dist else "headwater"
    try:
        board = load_board(name)
        return BoardEntry(name, origin, board, board.availability())
    except Exception as error:  # noqa: BLE001 - somebody else's board must not hide the others
        return BoardEntry(name, origin, None, str(error) or type(error).__name__)
