"""A device in the test's own process, and what is heard of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.config import DeviceConfig, load_mapping
from gateway.device.clocks import Readers
from gateway.device.outbox import Outbox, OutboxSettings, PreviousEpoch
from gateway.device.plan import Plan
from gateway.device.service import DeviceService
from tests.support.following import Following
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.waiting import wait_until

NOBODY = "mqtt://127.0.0.1:1"
"""No broker listens there."""


def plan_of(
    state: Path, url: str = NOBODY, *, rate: int = 1000, stream: dict[str, Any] | None = None, **tables: Any
) -> Plan:
    """One stream of the simulated board, unless told otherwise."""
    channels = [{"name": "lead", "input": "P9_39"}]
    content = {
        "device": {"name": "bbb1", "state": str(state), "health": "0.1s", **tables.pop("device", {})},
        "mqtt": {"url": url, **tables.pop("mqtt", {})},
        "stream": [{"name": "ecg", "rate": rate, "batch": "20ms", "channel": channels, **(stream or {})}],
        **tables,
    }
    return Plan(load_mapping(DeviceConfig, content, "test"))


@contextmanager
def running(plan: Plan, readers: Readers | None = None) -> Iterator[DeviceService]:
    service = DeviceService(plan, readers)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def followed(broker: Mosquitto) -> Iterator[Following]:
    """A follower that is there before any device is."""
    with Following(broker.url) as follower:
        wait_until(lambda: broker.log.count("Sending SUBACK to headwater-audit") >= 3, "the subscriptions")
        yield follower


def previous_in(state: Path) -> list[PreviousEpoch]:
    """What the outbox's file tells of the epochs so far."""
    outbox = Outbox(OutboxSettings(directory=state))
    outbox.step()
    previous = outbox.previous(0)
    outbox.close()
    assert previous is not None
    return previous


def acquired(service: DeviceService) -> int:
    frames: int = service.health()["acquired"]["ecg"]
    return frames


def samples_beyond(service: DeviceService, frames: int) -> int:
    """Wait until it has sampled so much more."""
    goal = acquired(service) + frames
    return wait_until(lambda: acquired(service) >= goal and acquired(service), "frames")


class Mail:
    """JSON messages to one topic, or to several."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(heard.payload) for heard in list(self._peer.heard)]

    def wait_for(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        found = wait_until(lambda: [content for content in self() if condition(content)], what)
        return found[0]


@contextmanager
def mail(broker: Mosquitto, topic: str) -> Iterator[Mail]:
    with Peer(broker.port, f"headwater/bbb1/{topic}") as peer:
        yield Mail(peer)
