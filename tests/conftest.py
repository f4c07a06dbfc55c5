"""What holds for every test, and the parts that many need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.logs import checked_logs
from tests.support.mosquitto import Mosquitto
from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

# a busy machine is slow now and then, which says nothing of the code
settings.register_profile("headwater", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headwater")


@pytest.fixture(autouse=True)
def _every_log_message_can_be_formatted() -> Iterator[None]:
    with checked_logs() as mistakes:
        yield
    assert not mistakes, "\n".join(mistakes)


@pytest.fixture(autouse=True)
def _no_test_writes_to_the_users_state(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real broker that lets everybody in."""
    with Mosquitto(tmp_path) as broker:
        yield broker
