"""The errors of Headwater's lowest layer, and the root of all of them."""


class HeadwaterError(Exception):
    """The root of every error that Headwater raises on purpose."""


class BoardError(HeadwaterError):
    """Something about a board or one of its sources."""


class BoardUnavailable(BoardError, ImportError):
    """The board cannot be used on this machine; the message says what to do about it."""


class LimitExceeded(BoardError, ValueError):
    """More was asked for than the board can do; the message names the limit."""


class UnknownInput(BoardError, KeyError):
    """The board has no input of that name."""

    def __str__(self) -> str:  # KeyError would show the message quoted
        return str(self.args[0]) if self.args else ""


class SourceLost(BoardError, OSError):
    """The source went away while it was read; it is re-opened with backoff."""


class FrameFailed(BoardError, OSError):
    """One frame could not be read though the hardware is there; it is declared lost, and the next one is tried."""


class BadOption(BoardError, ValueError):
    """An option that is unknown, of the wrong type or out of range; one line for each."""
