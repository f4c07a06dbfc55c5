"""Python and the packages that Headwater requires, at the versions it requires."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata

from gateway import __version__
from gateway.doctor.finding import Finding

DISTRIBUTION = "headwater"
PYTHON = (3, 11)

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9][0-9.]*))?")


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
    """Whether each requirement, such as `numpy>=1.24`, is met. None: there is no record of what is required."""
    if requirements is None:
        found = f"headwater {__version__} runs from its source, without a record of what it requires"
        return Finding("packages", found)
    versions, wrong = [], []
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match is None:
            continue
        name, minimum = match.groups()
        version = version_of(name)
        versions.append(f"{name} {version or 'missing'}")
        if version is None or (minimum and _numbers(version) < _numbers(minimum)):
            wrong.append(f"'{requirement.replace(' ', '')}'")
    found = f"headwater {__version__}, {', '.join(versions)}"
    return Finding("packages", found, f"pip install {' '.join(wrong)}" if wrong else None)


def required() -> list[str] | None:
    """What the installed distribution requires without extras; None if it is not installed."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return None
    return [requirement for requirement in requirements if "extra ==" not in requirement]


def installed(name: str) -> str | None:
    """The version of a distribution; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """`2.1rc1` as (2, 1): releases are compared by their numbers."""
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
