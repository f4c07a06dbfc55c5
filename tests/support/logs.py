"""Log messages that cannot be formatted: the mistake that only shows on the day the message is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

OURS = ("gateway", "boards")


class _Checker(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.mistakes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            record.getMessage()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the arguments
            self.mistakes.append(f"{record.pathname}:{record.lineno}: {record.msg!r} % {record.args!r}: {error}")


@contextmanager
def checked_logs() -> Iterator[list[str]]:
    """The messages that were logged and cannot be formatted, those of levels that are usually hidden included."""
    checker = _Checker()
    levels = {name: logging.getLogger(name).level for name in OURS}
    root = logging.getLogger()
    root.handlers.insert(0, checker)  # before those that would raise and so end the handling
    try:
        for name in OURS:
            logging.getLogger(name).setLevel(logging.DEBUG)
        yield checker.mistakes
    finally:
        root.removeHandler(checker)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
