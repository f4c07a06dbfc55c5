"""What became of an instrument's bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Counts since the source was made; they survive unplugging."""

    bytes: int = 0
    frames: int = 0
    """Frames that the framer delivered."""
    rows: int = 0
    ignored: int = 0
    """Frames that are no rows: headers, comments, other sentences, those skipped after opening."""
    undecodable: int = 0
    """Frames that could not be decoded: garbage, refused and overlong ones."""
    overlong: int = 0
    lost: int = 0
    """Rows declared lost."""
    restarts: int = 0
    """Times that the instrument's own numbers went back."""
    partial: int = 0
    """Rows cut by unplugging."""
    opened: int = 0
    unplugged: int = 0
    warnings: int = 0
    last_refusal: str = ""

    def as_dict(self) -> dict[str, int | str]:
        """For health reports."""
        return asdict(self)
