"""A device that plays a recording, and says what that cost its process.

    python -m tests.bench.device_subject CONFIG STREAM SECONDS

runs the device as `headwater run` does, and prints one JSON object at the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gateway.config import DeviceConfig, load
from gateway.device.plan import Plan
from gateway.device.service import DeviceService
from tests.bench.peers.playback import SETTLE_S, Meter, tell
from tests.bench.recorded_board import register


def run(config: Path, stream: str, seconds: float) -> None:
    """Sample, measure, stop."""
    register()
    plan = Plan(load(DeviceConfig, config, ()))
    channels = len(next(planned for planned in plan.streams if planned.stream.name == stream).stream.channels)
    service = DeviceService(plan)
    service.start()
    time.sleep(SETTLE_S)
    meter = Meter(service.health()["acquired"][stream], channels)
    time.sleep(seconds)
    figures = meter.read(service.health()["acquired"][stream])
    service.stop()
    health = service.health()
    lost = sum(health["lost"].get(stream, {}).values())
    tell(
        {**figures, "frames": health["acquired"][stream], "declared": lost, "unsent": health["outbox"]["records"]}
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
