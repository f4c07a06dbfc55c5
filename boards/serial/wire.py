"""When bytes were on the wire, from when they were read."""

from __future__ import annotations

from collections import deque


class WireClock:
    """Tells each byte's time from the reads that brought it and from the line's speed.

    A read that returns at time T and ends with byte E of the wire says that byte E has arrived, so that
    byte k <= E began no later than T - (E - k + 1) * byte_ns. Every read from the byte's own onwards gives
    such a bound; the earliest is the estimate. It is exact when one of these reads was prompt and the bytes
    before it came without pauses; else it is late, never early, by no more than that delay and those pauses.
    With `byte_ns` 0 it is the time of the byte's own read. Estimates never go back, even where bytes come
    faster than the line's speed allows.
    """

    def __init__(self, byte_ns: int, opened_ns: int) -> None:
        self._byte_ns = byte_ns
        self._last_ns = opened_ns
        self._count = 0
        self._bounds: deque[tuple[int, int]] = deque()  # (count of bytes, bound for byte 0), both increasing

    def arrived(self, count: int, now_ns: int) -> None:
        """So many more bytes were read at this time."""
        self._count += count
        bound = now_ns - self._count * self._byte_ns
        while self._bounds and self._bounds[-1][1] >= bound:
            self._bounds.pop()
        self._bounds.append((self._count, bound))

    def time_ns(self, offset: int) -> int:
        """CLOCK_MONOTONIC when the byte at this offset, read already, began. Offsets must not decrease."""
        self.forget_before(offset)
        self._last_ns = max(self._last_ns, self._bounds[0][1] + offset * self._byte_ns)
        return self._last_ns

    def forget_before(self, offset: int) -> None:
        """Bytes before this offset will not be asked for: what is held stays bounded by the bytes after it."""
        while len(self._bounds) > 1 and self._bounds[0][0] <= offset:
            self._bounds.popleft()
