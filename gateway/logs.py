"""What is logged, and in which form."""

from __future__ import annotations

import logging
from dataclasses import dataclass

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What was asked for; may be sent to another process."""

    verbose: int = 0
    """How often `-v` was given."""

    def set_up(self, worker: int | None = None) -> None:
        """Log to standard error; a worker says which one it is."""
        who = "" if worker is None else f"worker {worker} "
        logging.basicConfig(
            level=LEVELS[min(self.verbose, len(LEVELS) - 1)],
            format=f"%(asctime)s %(levelname)-7s {who}%(name)s: %(message)s",
        )


def show_progress() -> None:
    """A service says what it does without being asked."""
    if logging.getLogger().level > logging.INFO:
        logging.getLogger("gateway").setLevel(logging.INFO)
