"""The programs that the card runs at its start, as modules: they are no package, but files beside each other."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from tests.support.processes import ROOT

PROGRAMS = ROOT / "deploy/image/tree/common/usr/lib/headwater-image"


def program(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """One of them."""
    monkeypatch.syspath_prepend(PROGRAMS)
    return importlib.import_module(name)
