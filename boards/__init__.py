"""Hardware, as Headwater sees it: boards with inputs, and sources that deliver blocks of frames."""

from boards.base import Block, Board, Channel, Input, PolledSource, SampleSource, SourceRequest
from boards.errors import (
    BadOption,
    BoardError,
    BoardUnavailable,
    FrameFailed,
    HeadwaterError,
    LimitExceeded,
    SourceLost,
    UnknownInput,
)

__all__ = [
    "BadOption",
    "Block",
    "Board",
    "BoardError",
    "BoardUnavailable",
    "Channel",
    "FrameFailed",
    "HeadwaterError",
    "Input",
    "LimitExceeded",
    "PolledSource",
    "SampleSource",
    "SourceLost",
    "SourceRequest",
    "UnknownInput",
]
