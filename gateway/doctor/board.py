"""The board, whether it can be used here, and whether it accepts each stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from boards.base import SampleSource
from boards.errors import BoardUnavailable
from boards.registry import AUTO, detect_board, list_boards, load_board
from gateway.config import DeviceConfig, StreamSettings
from gateway.device.plan import Plan
from gateway.doctor.finding import Finding
from gateway.doctor.machine import MODEL_PATH, Machine
from gateway.errors import HeadwaterError


def machine_finding(wanted: str, machine: Machine) -> Finding:
    """What machine this is, and whether `auto` knows a board for it."""
    found = machine.text(MODEL_PATH) or "no device tree: a PC or a virtual machine"
    if wanted != AUTO:
        return Finding("machine", found)
    try:
        return Finding("machine", f"{found}, so the board is {detect_board(machine.at(MODEL_PATH))!r}")
    except BoardUnavailable as error:
        return Finding("machine", found, str(error))


def board_name(wanted: str, machine: Machine) -> str | None:
    """The board's name, with `auto` made out; None if it cannot be."""
    if wanted != AUTO:
        return wanted
    try:
        return detect_board(machine.at(MODEL_PATH))
    except BoardUnavailable:
        return None


def board_finding(name: str) -> Finding:
    """Whether the board's class can be loaded, and says that it can be used here."""
    try:
        board = load_board(name)
        missing = board.availability()
    except HeadwaterError as error:
        return Finding("board", f"{name!r} cannot be loaded", str(error))
    except Exception as error:  # noqa: BLE001 - somebody else's board may raise anything
        return Finding("board", f"{name!r} fails", f"{type(error).__name__}: {error}")
    if missing:
        return Finding("board", f"{name!r} cannot be used here", missing)
    return Finding("board", f"{name!r} is there: {board.summary}")


def boards_finding() -> Finding:
    """Which boards can be used here, where none is chosen."""
    names = [entry.name for entry in list_boards() if entry.unavailable is None]
    return Finding("boards", f"{', '.join(names)} can be used here; `headwater boards` says what others lack")


@dataclass(frozen=True, slots=True)
class StreamCheck:
    """What is to be said of a stream, and the source that would feed it."""

    finding: Finding
    source: SampleSource | None = None
    """None if the board refuses the stream."""


def check_streams(config: DeviceConfig) -> Iterator[StreamCheck]:
    """Whether the board accepts each stream by itself: inputs, rate, options."""
    for settings in config.stream:
        yield _check_stream(config, settings)


def _check_stream(config: DeviceConfig, settings: StreamSettings) -> StreamCheck:
    try:
        plan = Plan(config.model_copy(update={"stream": (settings,)}))
        plan.board.close()
    except HeadwaterError as error:
        what = str(error).removeprefix(f"stream {settings.name!r}: ")
        return StreamCheck(Finding("stream", f"{settings.name!r} is refused", what))
    except Exception as error:  # noqa: BLE001
        what = f"{type(error).__name__}: {error}"
        return StreamCheck(Finding("stream", f"{settings.name!r} makes the board fail", what))
    finding = Finding("stream", plan.describe()[-1].removeprefix("stream "))
    return StreamCheck(finding, plan.streams[0].source)
