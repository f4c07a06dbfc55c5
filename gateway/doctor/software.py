"""Python and the packages that Headwater requires, at the versions it requires."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata

from packaging.requirements import Requirement

from gateway import __version__
from gateway.doctor.finding import Finding

DISTRIBUTION = "headwater"
PYTHON = (3, 11)


def check_software() -> Iterator[Finding]:
    """This interpreter and what is installed for it."""
    yield python_finding(sys.version_info[:3])
    yield packages_finding(required(), installed)


def python_finding(version: tuple[int, ...]) -> Finding:
    """Whether the Python is new enough."""
    found = f"Python {'.'.join(map(str, version))} on {platform.machine()}"
    if version >= PYTHON:
        return Finding("python", found)
    return Finding("python", found, f"Python {'.'.join(map(str, PYTHON))} or newer is needed")


def packages_finding(requirements: Sequence[str] | None, version_of: Callable[[str], str | None]) -> Finding:
    """Whether each requirement that holds for this machine, such as `numpy>=1.24`, is met.

    None: there is no record of what is required.
    """
    if requirements is None:
        found = f"headwater {__version__} runs from its source, without a record of what it requires"
        return Finding("packages", found)
    versions, wrong = [], []
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = version_of(requirement.name)
        versions.append(f"{requirement.name} {version or 'missing'}")
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"'{requirement.name}{requirement.specifier}'")
    found = f"headwater {__version__}, {', '.join(versions)}"
    return Finding("packages", found, f"pip install {' '.join(wrong)}" if wrong else None)


def required() -> list[str] | None:
    """What the installed distribution requires; None if it is not installed."""
    try:
        return metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return None


def installed(name: str) -> str | None:
    """The version of a distribution; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
