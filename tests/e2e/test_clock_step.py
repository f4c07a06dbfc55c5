"""A wall clock that is set while a device samples: declared, followed at once, and never smeared."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from boards.faults import ClockStep
from boards.simulated import SimulatedBoard
from gateway.codec import CODECS
from gateway.config import DeviceConfig, load_mapping
from gateway.device.plan import Plan
from gateway.device.service import DeviceService
from gateway.model import Batch
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Heard, Peer
from tests.support.waiting import wait_until

BATCH = "headwater/bbb1/stream/ecg/batch"
EVENT = "headwater/bbb1/event/device/clock_step"
STEP_NS = 5_000_000_000
NEAR_NS = 1_000_000


def test_a_step_of_five_seconds_is_an_event_and_the_times_follow_at_once(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Peer(broker.port, "headwater/bbb1/#") as peer:
        content = {
            "device": {"name": "bbb1", "state": str(tmp_path)},
            "mqtt": {"url": broker.url},
            "stream": [
                {"name": "ecg", "rate": 500, "batch": "20ms", "channel": [{"name": "a", "input": "P9_39"}]}
            ],
        }
        plan = Plan(load_mapping(DeviceConfig, content, "test"))
        board = plan.board
        assert isinstance(board, SimulatedBoard)
        service = DeviceService(plan)
        service.start()
        try:
            wait_until(lambda: len(heard(peer, BATCH)) > 10, "batches before the step")
            board.inject(ClockStep(seconds=5))
            wait_until(lambda: heard(peer, EVENT), "the event")
            seen = len(heard(peer, BATCH))
            wait_until(lambda: len(heard(peer, BATCH)) > seen + 10, "batches after the step")
        finally:
            service.stop()

    event = json.loads(heard(peer, EVENT)[0].payload)
    assert abs(event["after_ns"] - event["before_ns"] - STEP_NS) < NEAR_NS
    batches = [CODECS["cbor"].decode(message.payload) for message in heard(peer, BATCH)]
    distances = [batch.utc_ns - batch.monotonic_ns for batch in batches if isinstance(batch, Batch)]
    steps = [after - before for before, after in pairwise(distances)]
    assert [step for step in steps if abs(step) > NEAR_NS] == [max(steps)]
    assert abs(max(steps) - STEP_NS) < NEAR_NS


def heard(peer: Peer, topic: str) -> list[Heard]:
    return [message for message in peer.heard if message.topic == topic]
