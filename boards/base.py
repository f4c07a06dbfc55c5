"""The contract between a board and whoever reads it.

A **Board** offers inputs and opens **SampleSource**s on them. A source's `read()` blocks until a **Block** is
there. Nothing in this package knows of streams, batches, MQTT or files.

To write a board, subclass `Board` and override

* `inputs()` and `open_source()`: you must;
* `availability()`, `describe()`, `close()`: you may.

To write a source, subclass one of

* `PolledSource` and override `read_raw(channel)`: the base class paces it by absolute deadlines and
  declares each missed one as a `late` frame;
* `SampleSource` and override `read()`: for hardware that paces itself and hands over blocks.

`open()` and `close()` may be overridden in both. Register the class in `boards/registry.py`, or from another
distribution through the entry-point group `headwater.boards`.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from boards.errors import FrameFailed, LimitExceeded, SourceLost, UnknownInput
from boards.timeline import NS, Timeline

LossReason = Literal["overrun", "late", "unplugged", "undecodable"]
"""Why a source could not deliver frames: the words that a gap on the wire uses too."""

Samples = NDArray[Any]
"""Frames x channels, in any of numpy's fixed-width integer or float types."""

READ_PATIENCE_S = 0.5
"""`read()` returns within about this time even if nothing came, so that a stop is never held up."""


@dataclass(frozen=True, slots=True)
class Input:
    """One thing a board can sample, and its limits."""

    name: str
    """The board's own name: what is printed beside the pin, such as `P9_39`."""
    description: str = ""
    aliases: tuple[str, ...] = ()
    unit: str = "count"
    """The unit of physical values: raw * scale + offset."""
    scale: float = 1.0
    offset: float = 0.0
    bits: int | None = None
    minimum: float | None = None
    """The smallest and largest input that does no harm, in `unit`."""
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of a source's frames: an input and how it is to be read."""

    name: str
    input: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """What only this board understands, such as a simulated signal's amplitude."""


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """What a stream asks of a board."""

    channels: tuple[Channel, ...]
    rate: Fraction | None = None
    """Frames a second; None for a source that stamps each frame itself (irregular)."""
    block_frames: int = 1
    """Roughly how many frames a block should hold: a wish, not a duty."""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive frames, and how many were lost just before them.

    A block may have no frames: then it only declares losses, or says that nothing came for a while.
    """

    frames: Samples
    """Shape (frames, channels)."""
    monotonic_ns: int
    """CLOCK_MONOTONIC of the first frame, or of the reading if there is none."""
    lost: int = 0
    reason: LossReason = "overrun"
    offsets_ns: NDArray[np.int64] | None = None
    """Irregular sources only: each frame's time after `monotonic_ns`, shape (frames,)."""


class SampleSource(abc.ABC):
    """An open set of channels that are sampled together.

    Must override: `read()`. May override: `open()`, `close()`, `dtype`.
    """

    dtype: DTypeLike = np.int16
    """The type of the frames, constant for the life of the source."""

    def __init__(self, request: SourceRequest) -> None:
        self.request = request

    def open(self) -> None:  # noqa: B027 - a source without hardware to open has nothing to do
        """Take the hardware and start the sampling. Raises SourceLost if it is not there.

        Frames are numbered from 0 at the first `open()`, and again at one after a mere `close()`. After `read()`
        raised SourceLost the numbering goes on, whether or not `close()` was called in between: a source that
        knows how many frames were due while it was away declares them, as `unplugged`, before the first new one.
        """

    @abc.abstractmethod
    def read(self) -> Block:
        """Wait for the next block; return within about READ_PATIENCE_S, with no frames if none came.

        Raises SourceLost when the hardware went away; `open()` is called again then. Frames that were taken before
        that are handed over first.
        """

    def close(self) -> None:  # noqa: B027
        """Give the hardware back. May be called twice, and after a failed `open()`."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Board(abc.ABC):
    """A piece of hardware with inputs.

    Must override: `inputs()`, `open_source()`. May override: `availability()`, `describe()`, `close()`,
    `maximum_rate()`, `realtime_ns()`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for `headwater boards`."""
    models: ClassVar[tuple[str, ...]] = ()
    """What the device tree calls the machines that carry this board, or a part of it: for `board = "auto"`."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options: Mapping[str, Any] = options or {}

    @classmethod
    def availability(cls) -> str | None:
        """None if the board can be used on this machine, else the reason and what to do about it."""
        return None

    @abc.abstractmethod
    def inputs(self) -> Sequence[Input]:
        """What can be sampled."""

    def maximum_rate(self, channels: int) -> Fraction | None:
        """The highest rate in frames a second for so many channels; None if there is no limit."""
        return None

    @abc.abstractmethod
    def open_source(self, request: SourceRequest) -> SampleSource:
        """Make the source for a request that `check()` accepted; the caller opens it."""

    def describe(self) -> dict[str, Any]:
        """What the birth message says of the board."""
        return {"name": self.name}

    def realtime_ns(self) -> int:
        """The wall clock, ns since 1970-01-01 UTC: this machine's, unless the board simulates one."""
        return time.time_ns()

    def close(self) -> None:  # noqa: B027
        """Give back what the board itself holds."""

    def find_input(self, name: str) -> Input:
        """The input of that name or alias; raises UnknownInput naming what there is."""
        for known in self.inputs():
            if name == known.name or name in known.aliases:
                return known
        there = ", ".join(known.name for known in self.inputs())
        raise UnknownInput(f"board {self.name!r} has no input {name!r}; it has {there}")

    def check(self, request: SourceRequest) -> None:
        """Refuse what the board cannot do, naming the limit. Raises LimitExceeded or UnknownInput."""
        for channel in request.channels:
            self.find_input(channel.input)
        limit = self.maximum_rate(len(request.channels))
        if request.rate is not None and limit is not None and request.rate > limit:
            raise LimitExceeded(
                f"board {self.name!r} samples {len(request.channels)} channel(s) at {float(limit):g} Hz at most; "
                f"{float(request.rate):g} Hz was asked for"
            )


class PolledSource(SampleSource):
    """A source that is read value by value, paced by absolute deadlines.

    Frame k is due at start + k / rate, and read in the period after that. A frame whose period is over when its
    turn comes is declared `late`; the following ones keep their places in time. After SourceLost, `open()` goes
    on with the same deadlines: those that passed meanwhile are declared `unplugged`. After FrameFailed it goes on
    with the next frame, and declares the failed one `undecodable`.

    Must override: `read_raw()`. May override: `read_frame()`, and `open()` and `close()` if they call this one's.
    """

    def __init__(self, request: SourceRequest) -> None:
        super().__init__(request)
        if request.rate is None or request.rate <= 0:
            raise LimitExceeded(f"a polled source needs a rate above 0 Hz; found {request.rate}")
        self._timeline = Timeline(0, request.rate)
        self._next = 0
        self._away = False
        self._failure: SourceLost | None = None
        self._undeclared = False  # the frame `_next` failed

    @abc.abstractmethod
    def read_raw(self, channel: Channel) -> float:
        """Read one value now, that `dtype` can hold.

        Raises SourceLost if the hardware is gone, and FrameFailed if only this reading went wrong.
        """

    def read_frame(self) -> Sequence[float]:
        """Read one value of each channel; override where hardware reads them together."""
        return [self.read_raw(channel) for channel in self.request.channels]

    @property
    def next_frame(self) -> int:
        """The number of the frame that is read now, or next."""
        return self._next

    @property
    def next_due_ns(self) -> int:
        """When it is due, on CLOCK_MONOTONIC."""
        return self._timeline.due_ns(self._next)

    def open(self) -> None:
        self._failure = None
        self._undeclared = False
        if not self._away:
            self._next = 0
            self._timeline = Timeline(time.monotonic_ns(), self._timeline.rate)

    def read(self) -> Block:
        if self._failure is not None:
            raise self._failure
        reason: LossReason = "unplugged" if self._away else "late"
        lost, rows = (0, []) if self._undeclared else self._collect()
        if self._undeclared and not rows and not lost:
            return self._declare_failed()
        frames = np.array(rows, dtype=self.dtype).reshape(len(rows), len(self.request.channels))
        stamp = self._timeline.due_ns(self._next - len(rows)) if rows else time.monotonic_ns()
        return Block(frames, stamp, lost, reason)

    def _collect(self) -> tuple[int, list[Sequence[float]]]:
        """How many frames were missed, and those read after them: a block, or what patience allows."""
        patience_ends = time.monotonic_ns() + int(READ_PATIENCE_S * NS)
        lost = 0
        rows: list[Sequence[float]] = []
        while len(rows) < max(1, self.request.block_frames) and self._turn_comes(patience_ends, bool(rows)):
            missed = max(0, self._timeline.frames_due(time.monotonic_ns()) - 1 - self._next)
            if missed and rows:
                break  # the next block begins with the loss
            lost += missed
            self._next += missed
            try:
                rows.append(self.read_frame())
            except FrameFailed:
                self._away = False
                self._undeclared = True  # what came before it is handed over first
                break
            except SourceLost as error:
                self._away = True
                if not rows and not lost:
                    raise
                self._failure = error  # what came before it is handed over first
                break
            self._away = False
            self._next += 1
        return lost, rows

    def _declare_failed(self) -> Block:
        """Give the next frame up."""
        self._undeclared = False
        self._next += 1
        nothing = np.empty((0, len(self.request.channels)), dtype=self.dtype)
        return Block(nothing, time.monotonic_ns(), 1, "undecodable")

    def _turn_comes(self, patience_ends: int, have_some: bool) -> bool:
        """Sleep until the next frame is due; False if it is time to return to the caller before that."""
        now, due = time.monotonic_ns(), self.next_due_ns
        if now >= due:
            return not have_some or now < patience_ends
        if due <= patience_ends:
            time.sleep((due - now) / NS)
            return True
        if not have_some:
            time.sleep((patience_ends - now) / NS)
        return False
