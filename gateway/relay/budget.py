"""How much a client may ask: so much at once, and then so much a second. Pure."""

from __future__ import annotations


class Budget:
    """A bucket of tokens, full at first."""

    def __init__(self, burst: int, rate: float, now_s: float) -> None:
        self._burst = burst
        self._rate = rate
        """Tokens a second."""
        self._tokens = float(burst)
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Take a token, and 0; or how long until there is one."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0
