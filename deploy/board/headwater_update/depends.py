"""What a package depends on, and what of it a board lacks (Debian policy 7.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9.+-]*)(?::[a-z0-9]+)?\s*(?:\(\s*(?P<how><<|<=|=|>=|>>)\s*(?P<version>\S+?)\s*\))?"
    r"\s*(?:\[[^\]]*\])?"
)

Compare = Callable[[str, str, str], bool]
"""Whether one version stands to another as an operator says: `dpkg --compare-versions`."""

Installed = Mapping[str, tuple[str | None, ...]]
"""The versions in which a name is there; None where it is provided without one."""


@dataclass(frozen=True, slots=True)
class Relation:
    """`python3-numpy (>= 1:1.24)`"""

    name: str
    how: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.how} {self.version})" if self.how else self.name

    def holds(self, installed: Installed, compare: Compare) -> bool:
        """Whether it is satisfied by what is installed."""
        versions = installed.get(self.name, ())
        if not self.how:
            return bool(versions)
        return any(version is not None and compare(version, self.how, self.version) for version in versions)


def parse_depends(text: str) -> list[tuple[Relation, ...]]:
    """The alternatives of each dependency; raises ValueError."""
    return [tuple(_relation(each) for each in group.split("|")) for group in text.split(",") if group.strip()]


def missing(depends: str, installed: Installed, compare: Compare) -> list[str]:
    """The dependencies that are not satisfied, as they are written."""
    groups = parse_depends(depends)
    lacking = [group for group in groups if not any(each.holds(installed, compare) for each in group)]
    return [" | ".join(str(each) for each in group) for group in lacking]


def parse_installed(lines: Iterable[str]) -> dict[str, tuple[str | None, ...]]:
    """Read `dpkg-query --show --showformat=QUERY`."""
    found: dict[str, tuple[str | None, ...]] = {}
    for line in lines:
        state, name, version, provides = (line.split("\t") + [""] * 3)[:4]
        if state == "installed":
            found[name] = (*found.get(name, ()), version)
            for group in parse_depends(provides):
                found[group[0].name] = (*found.get(group[0].name, ()), group[0].version or None)
    return found


QUERY = "${db:Status-Status}\\t${Package}\\t${Version}\\t${Provides}\\n"


def _relation(text: str) -> Relation:
    match = RELATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is not a dependency")
    return Relation(match["name"], match["how"] or "", match["version"] or "")
