"""What is logged, and in which form: text for people, or JSON, an object a line, for programs.

JSON has `ts` (UTC, RFC 3339), `level`, `logger` and `message`; what an event is made of stands beside them as
fields, and its name as `event`. `extra=` of the logging functions gives fields.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What was asked for; may be sent to another process."""

    verbose: int = 0
    """How often `-v` was given."""
    format: Literal["text", "json"] = "text"

    def set_up(self, worker: int | None = None) -> None:
        """Log to standard error; a worker says which one it is."""
        handler = logging.StreamHandler()
        handler.setFormatter(self.formatter(worker))
        logging.basicConfig(level=LEVELS[min(self.verbose, len(LEVELS) - 1)], handlers=[handler])

    def formatter(self, worker: int | None = None) -> logging.Formatter:
        """What makes a line of a record."""
        if self.format == "json":
            return _json_formatter(worker)
        who = "" if worker is None else f"worker {worker} "
        return logging.Formatter(f"%(asctime)s %(levelname)-7s {who}%(name)s: %(message)s")


class Ration:
    """Lets so many events a second be logged, and counts the others. Pure."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = -1
        self._logged = 0
        self._left_out = 0

    def take(self, now_s: float) -> int | None:
        """How many were left out before this one; None if this one is to be left out too."""
        if int(now_s) != self._second:
            self._second, self._logged = int(now_s), 0
        if self._logged == self._most:
            self._left_out += 1
            return None
        self._logged += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


def show_progress() -> None:
    """A service says what it does without being asked."""
    if logging.getLogger().level > logging.INFO:
        logging.getLogger("gateway").setLevel(logging.INFO)


def _json_formatter(worker: int | None) -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter  # most runs do without

    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger"},
        static_fields={} if worker is None else {"worker": worker},
        timestamp="ts",
    )
