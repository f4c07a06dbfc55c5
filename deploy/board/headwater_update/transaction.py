"""A change of version or configuration, and how far it has come. Pure.

    staging → installing → waiting → confirmed
                   └──────────┴────→ rolling back → rolled back

Each phase is on disk before its work begins, and its work may be done twice. So whoever finds a transaction after
a power cut goes on with its phase.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from .errors import UpdateError

Phase = Literal["staging", "installing", "waiting", "confirmed", "rolling back", "rolled back"]
MOST_ATTEMPTS = 2
"""Starts of the work on a new version: one, and one more after a power cut. A version that takes the board down
with it gets no third."""


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package that the board keeps."""

    version: str
    name: str
    """Its file's name."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """Everything that is needed to finish, or to undo, the change."""

    id: str
    phase: Phase = "staging"
    attempts: int = 0
    reason: str = ""
    """Why it is rolled back."""
    advice: tuple[str, ...] = ()
    """What `headwater doctor` found to be done."""
    new: Package | None = None
    """None if the configuration alone changes."""
    dependencies: tuple[str, ...] = ()
    """File names."""
    serial: int = 0
    previous: Package | None = None
    """What to fall back to; None at the first installation, and if the package does not change."""
    first: bool = False
    """Whether nothing was installed before."""
    files: bool = False
    """Whether there is new configuration."""
    units: tuple[str, ...] = ()
    """The services that have to be healthy."""
    enabled: tuple[str, ...] = ()
    """Those of them that were started at boot before."""
    active: tuple[str, ...] = ()
    """Those of them that ran before."""
    frames: tuple[str, ...] = ()
    """Those of them that have to acquire frames."""
    invocations: tuple[str, ...] = ()
    """The runs of the services before the change."""
    health_s: float = 60.0
    """How long they may take to become healthy."""

    def began(self) -> Transaction:
        """The work begins, or begins again after a power cut."""
        if self.phase not in ("installing", "waiting"):
            return self
        if self.attempts < MOST_ATTEMPTS:
            return replace(self, attempts=self.attempts + 1)
        return self.failed(f"the board went down {self.attempts} times while it was {self.phase}")

    def failed(self, reason: str) -> Transaction:
        """The new version does not do."""
        return replace(self, phase="rolling back", reason=reason)

    def at(self, phase: Phase) -> Transaction:
        """The same in another phase."""
        return replace(self, phase=phase)

    def to_json(self) -> dict[str, Any]:
        """The transaction as it is on disk."""
        return asdict(self)


def parse_transaction(content: Any) -> Transaction:
    """Read what `to_json()` made; raises UpdateError. Keys of later versions are passed over."""
    try:
        known: dict[str, Any] = {
            each.name: content[each.name] for each in fields(Transaction) if each.name in content
        }
        if known.get("phase", "staging") not in get_args(Phase):
            raise ValueError(f"there is no phase {known['phase']!r}")
        for name, value in known.items():
            if isinstance(value, list):
                known[name] = tuple(value)
            elif isinstance(value, dict):
                known[name] = Package(**value)
        return Transaction(**known)
    except (TypeError, ValueError, KeyError) as error:
        raise UpdateError(f"the transaction cannot be read: {error}") from None
