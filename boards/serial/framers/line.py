"""Frames that end with a terminator.

Which frames come out: every line of at most `max_length` bytes whose predecessor's terminator arrived (or that
is the first). Garbage that holds no terminator joins the line after it, as nothing tells the two apart.
"""

from __future__ import annotations

from boards.serial.framers.base import Bad, Frame


class LineFramer:
    """Splits at a terminator of one byte or more; a line feed also takes a carriage return before it.

    Empty lines are dropped. A line of more than `max_length` bytes is one `Bad`, said as soon as it is too
    long, and what remains of it is skipped without being held.
    """

    checked = False

    def __init__(self, terminator: bytes = b"\n", max_length: int = 1024) -> None:
        self.limit = max_length + len(terminator)
        self._terminator = terminator
        self._max_length = max_length
        self._held = b""
        self._offset = 0  # of the first held byte
        self._overlong = False

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished line have come."""
        return len(self._held)

    def feed(self, chunk: bytes) -> list[Frame | Bad]:
        """The lines that the chunk completes."""
        *lines, rest = (self._held + chunk).split(self._terminator)
        found: list[Frame | Bad] = []
        for line in lines:
            end = self._offset + len(line) + len(self._terminator)
            self._finish(line, end, found)
            self._offset = end
            self._overlong = False
        self._hold(rest, found)
        return found

    def _finish(self, line: bytes, end: int, found: list[Frame | Bad]) -> None:
        if self._overlong:
            return
        if len(line) > self._max_length:
            found.append(self._too_long())
            return
        text = line.removesuffix(b"\r") if self._terminator == b"\n" else line
        if text:
            found.append(Frame(text, self._offset, end))

    def _hold(self, rest: bytes, found: list[Frame | Bad]) -> None:
        """Keep an unfinished line; of one that is already too long, only what may begin the terminator."""
        may_begin_terminator = len(self._terminator) - 1
        if not self._overlong and len(rest) > self._max_length + may_begin_terminator:
            found.append(self._too_long())
            self._overlong = True
        if self._overlong:
            skipped = max(0, len(rest) - may_begin_terminator)
            self._offset += skipped
            rest = rest[skipped:]
        self._held = rest

    def _too_long(self) -> Bad:
        return Bad("overlong", self._offset, self._offset + self._max_length + 1)
