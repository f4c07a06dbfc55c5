"""Which package a board gets, and what has to be brought along with it. Pure: it compares what was read before."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from deploy.board.headwater_update.depends import Compare, Installed, Relation, missing, parse_depends
from deploy.board.headwater_update.manifest import PACKAGE
from deploy.rollout.errors import DeployError
from deploy.rollout.package import Deb

RELEASE = re.compile(r"[~+]deb([0-9]+)")
"""Packages for several releases of Debian say in their version which one they are for: 0.2.0-1~deb12."""


def choose(debs: Sequence[Deb], architecture: str, release: str, compare: Compare) -> Deb:
    """The newest package for the board; raises DeployError that names what there is."""
    ours = [deb for deb in debs if deb.name == PACKAGE]
    fitting = [deb for deb in ours if deb.architecture == architecture and release_of(deb) in (None, release)]
    if not fitting:
        found = sorted({f"{deb.version} for {deb.architecture}" for deb in ours}) or ["none at all"]
        raise DeployError(
            f"it is {architecture} with Debian {release}, and there is no package of headwater for that; "
            f"there is {', '.join(found)}: make deb"
        )
    return functools.reduce(lambda best, deb: deb if compare(deb.version, ">>", best.version) else best, fitting)


def release_of(deb: Deb) -> str | None:
    """The release of Debian that the package was made for; None if it does not say so."""
    match = RELEASE.search(deb.version)
    return match[1] if match else None


def bring_along(package: Deb, installed: Installed, offered: Sequence[Deb], compare: Compare) -> tuple[Deb, ...]:
    """What of the offered packages the board needs besides, each after what it depends on itself.

    Raises DeployError that names what is missing.
    """
    have = dict(installed)
    chosen: list[Deb] = []
    lacking: list[str] = []

    def need(deb: Deb) -> None:
        for wanted in missing(deb.depends, have, compare):
            found = _find(wanted, package.architecture, offered, compare)
            if found is None:
                lacking.append(wanted)
                continue
            _add(have, found)
            need(found)
            chosen.append(found)

    need(package)
    if lacking:
        names = " ".join(dict.fromkeys(parse_depends(each)[0][0].name for each in lacking))
        raise DeployError(
            f"it lacks {', '.join(dict.fromkeys(lacking))}. On the board: sudo apt-get install {names}; "
            "or offline: DEBS=folder with their packages"
        )
    return tuple(chosen)


def _find(wanted: str, architecture: str, offered: Sequence[Deb], compare: Compare) -> Deb | None:
    for relation in (relation for group in parse_depends(wanted) for relation in group):
        for deb in offered:
            if deb.architecture in (architecture, "all") and _satisfies(deb, relation, compare):
                return deb
    return None


def _satisfies(deb: Deb, relation: Relation, compare: Compare) -> bool:
    offers: dict[str, tuple[str | None, ...]] = {}
    _add(offers, deb)
    return relation.holds(offers, compare)


def _add(have: dict[str, tuple[str | None, ...]], deb: Deb) -> None:
    have[deb.name] = (*have.get(deb.name, ()), deb.version)
    for group in parse_depends(deb.provides):
        have[group[0].name] = (*have.get(group[0].name, ()), group[0].version or None)
