"""Skips everything, with the reason, on a machine that is no BeagleBone; and frees the ADC between tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from boards.beaglebone import BeagleBoneBoard

MODEL = Path("/proc/device-tree/model")


def why_not_here(model_path: Path = MODEL) -> str | None:
    """None on a BeagleBone, else why these tests cannot run."""
    if not model_path.exists():
        return f"no BeagleBone here: this machine has no device tree ({model_path})"
    model = model_path.read_bytes().rstrip(b"\0\n").decode(errors="replace")
    if not any(part in model for part in BeagleBoneBoard.models):
        return f"no BeagleBone here: the device tree's model is {model!r}"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs the board."""
    reason = why_not_here()
    here = Path(__file__).parent
    for item in items:
        if reason is not None and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def board() -> Iterator[BeagleBoneBoard]:
    """The board, available."""
    reason = BeagleBoneBoard.availability()
    assert reason is None, reason
    with_board = BeagleBoneBoard()
    yield with_board
    with_board.close()
