"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `headwater doctor`."""

    check: str
    """What was looked at, in a word or two."""
    found: str
    todo: str | None = None
    """What to do about it; None if all is well."""

    @property
    def ok(self) -> bool:
        """Whether nothing needs to be done."""
        return self.todo is None

    def as_dict(self) -> dict[str, str | bool | None]:
        """The finding as `--json` prints it."""
        return {"check": self.check, "ok": self.ok, "found": self.found, "todo": self.todo}

    def line(self) -> str:
        """The finding as one line without its verdict: check, what was found, what to do."""
        text = self.found if self.todo is None else f"{self.found}: {self.todo}"
        return f"{self.check:<16} {' '.join(text.split())}"
