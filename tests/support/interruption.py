"""Work that is interrupted between any two of its calls that change the disk, as by a power cut."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


class PowerCut(BaseException):
    """Nothing after this happens."""


class Interrupted:
    """Lets so many of the calls that change the disk happen, and none after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
        self.left = calls
        for module, name in ((os, "open"), (os, "fsync"), (os, "rename"), (os, "replace"), (os, "mkdir")):
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))
        for name in ("rename", "replace", "mkdir", "unlink", "chmod"):
            monkeypatch.setattr(Path, name, self._counted(getattr(Path, name)))
        monkeypatch.setattr(shutil, "rmtree", self._counted(shutil.rmtree))

    def _counted(self, call: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            if self.left <= 0:
                raise PowerCut
            self.left -= 1
            return call(*arguments, **options)

        return counted


def interrupted(work: Callable[[], object], calls: int) -> bool:
    """Whether the work ended before it was done."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        Interrupted(monkeypatch, calls)
        try:
            work()
        except PowerCut:
            return True
    return False
