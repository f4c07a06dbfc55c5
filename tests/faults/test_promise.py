"""Delivered or declared lost, whatever happens between the board and the subscriber."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.faults.rig import NETWORK_FAULTS, Rig

pytestmark = pytest.mark.timeout(300)


def test_broker_kills_and_network_cuts_lose_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path, seed=1) as rig:
        for name, _ in zip(itertools.cycle(NETWORK_FAULTS), range(21), strict=False):
            rig.pause(0.6)
            rig.make(name)
        (account,) = rig.finish()["epochs"].values()
    assert account["undeclared"] == 0
    assert account["lost"] == {}
    assert account["delivered"] == account["end"] > 5000
    assert account["time_jumps"] == 0


def test_a_device_killed_in_always_mode_keeps_every_frame_that_counted_as_acquired(tmp_path: Path) -> None:
    with Rig(tmp_path, seed=2, outbox={"durability": '"always"'}) as rig:
        for _ in range(5):
            rig.pause(1.5)
            rig.make("device killed")
        rig.pause(1.0)
        report = rig.finish()
    assert report["undeclared"] == 0
    assert len(report["epochs"]) > 3
    for account in report["epochs"].values():
        assert set(account["lost"]) <= {"crash"}


def test_an_outage_longer_than_the_outbox_costs_exactly_the_oldest(tmp_path: Path) -> None:
    with Rig(tmp_path, seed=3, outbox={"max_bytes": '"64KiB"'}) as rig:
        rig.pause(1.0)
        rig.broker.kill()
        rig.device.wait_for("outbox_full")
        rig.broker.start()
        rig.device.wait_for("connected")
        (account,) = rig.finish()["epochs"].values()
    assert set(account["lost"]) == {"outbox_full"}
    assert account["delivered"] + account["lost"]["outbox_full"] == account["end"]
