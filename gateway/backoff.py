"""How long to wait before the next try."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Doubling waits with jitter, so that a fleet does not come back all at once."""

    first_s: float = 0.25
    most_s: float = 15.0
    _tries: int = field(default=0, init=False)

    def next_s(self) -> float:
        """Seconds to wait now: from half of the step up to the whole of it."""
        step = min(self.most_s, self.first_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return step * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: begin with the shortest wait again."""
        self._tries = 0
