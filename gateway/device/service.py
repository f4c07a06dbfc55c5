"""The device, wired: boards, acquisitions, outbox, publisher."""

from __future__ import annotations

import json
import logging
import platform
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.codec import find_codec
from gateway.device.acquire import Acquisition
from gateway.device.batcher import Batcher, Stamp
from gateway.device.outbox import Outbox, Record
from gateway.device.plan import Plan, PlannedStream
from gateway.device.publisher import Publisher, Retained
from gateway.device.state import next_epoch, state_directory
from gateway.meta import latest_of, meta_of
from gateway.model import SCHEMA_VERSION, Batch, Gap, Message
from gateway.mqtt import Will
from gateway.topics import Topics

log = logging.getLogger(__name__)

LATEST_PERIOD_S = 1.0
ACQUIRE_STOP_S = 3.0
DRAIN_S = 5.0
"""How long a stop may take to send what is left."""


class DeviceService:
    """A running device."""

    def __init__(self, plan: Plan) -> None:
        config = plan.config
        self._plan = plan
        self._topics = Topics(config.mqtt.root)
        self._device = config.device.name
        self._codecs = {planned.stream.name: find_codec(planned.stream.codec) for planned in plan.streams}
        self._streams = {planned.stream.name: planned.stream for planned in plan.streams}
        self._started = datetime.now(UTC)
        self._newest: dict[str, Batch] = {}
        self._stopping = threading.Event()
        directory: Path = state_directory(self._device, config.device.state)
        self.epoch = next_epoch(directory)
        self._outbox = Outbox(
            config.outbox.max_bytes,
            config.outbox.drop,
            lambda stream, gap: self._codecs[stream].encode(gap),
        )
        self._publisher = Publisher(
            config.mqtt,
            self._outbox,
            client_id=f"headwater-{self._device}",
            batch_topic=lambda stream: self._topics.batch(self._device, stream),
            content_type=lambda stream: self._codecs[stream].content_type,
            retained=Retained(
                status=lambda: self._status(online=not self._stopping.is_set()),
                death=Will(*self._status(online=False, reason="connection lost")),
                others={
                    self._topics.meta(self._device, name): json.dumps(meta_of(stream)).encode()
                    for name, stream in self._streams.items()
                },
            ),
        )
        self._acquisitions = [self._acquisition(planned) for planned in plan.streams]
        self._latest = threading.Thread(target=self._publish_latest, name="latest", daemon=True)

    def start(self) -> None:
        """Begin to sample and to connect; neither waits for the other."""
        self._publisher.start()
        for acquisition in self._acquisitions:
            acquisition.start()
        self._latest.start()

    def stop(self) -> None:
        """Stop sampling, send what is left, say goodbye."""
        for acquisition in self._acquisitions:
            if not acquisition.stop(ACQUIRE_STOP_S):
                log.warning("%s: the source hangs; it is left behind", acquisition.name)
        self._stopping.set()
        self._latest.join()
        if not self._publisher.stop(DRAIN_S):
            log.warning("stopped with %d messages unsent", len(self._outbox))
        self._plan.board.close()

    @property
    def failure(self) -> Exception | None:
        """What ended an acquisition that was not asked to stop."""
        return next((acquisition.failure for acquisition in self._acquisitions if acquisition.failure), None)

    def _acquisition(self, planned: PlannedStream) -> Acquisition:
        name = planned.stream.name
        return Acquisition(
            name,
            planned.source,
            planned.stream.rate,
            Batcher(self.epoch, planned.batches, _stamp),
            lambda message: self._keep(name, message),
            self._on_event,
            self._plan.config.device.realtime,
        )

    def _keep(self, name: str, message: Message) -> None:
        count = message.count if isinstance(message, Gap) else message.frames
        payload = self._codecs[name].encode(message)
        self._outbox.put(Record(name, message.epoch, message.index, count, payload))
        self._publisher.work()
        if isinstance(message, Batch):
            self._newest[name] = message

    def _on_event(self, event: str, content: dict[str, Any]) -> None:
        """Tell an event, if there is a connection."""
        topic = self._topics.event(self._device, "device", event)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._publisher.publish_json(topic, {"time": now, **content}, qos=1)

    def _publish_latest(self) -> None:
        while not self._stopping.wait(LATEST_PERIOD_S):
            for name in list(self._newest):
                batch = self._newest.pop(name)
                content = latest_of(self._streams[name], batch)
                self._publisher.publish_json(self._topics.latest(self._device, name), content, retain=True)

    def _status(self, *, online: bool, reason: str = "stopped") -> tuple[str, bytes]:
        status: dict[str, Any] = {
            "v": SCHEMA_VERSION,
            "online": online,
            "epoch": self.epoch,
            "started": self._started.isoformat(timespec="milliseconds"),
            "versions": {"headwater": __version__, "python": platform.python_version()},
            "board": self._plan.board.describe(),
            "streams": list(self._streams),
        }
        if not online:
            status["reason"] = reason
        return self._topics.status(self._device), json.dumps(status).encode()


def _stamp(monotonic_ns: int) -> Stamp:
    return Stamp(monotonic_ns + time.time_ns() - time.monotonic_ns(), None)
