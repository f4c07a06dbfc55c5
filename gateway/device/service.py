"""The device, wired: boards, acquisitions, outbox, publisher, requests, health."""

from __future__ import annotations

import json
import logging
import platform
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway import __version__
from gateway.codec import CODECS
from gateway.config import DeviceConfig
from gateway.device.acquire import Acquisition
from gateway.device.batcher import Batcher
from gateway.device.clocks import Clocks, Readers
from gateway.device.epoch import begin_epoch
from gateway.device.events import Events
from gateway.device.health import Load, Losses, health_of
from gateway.device.kept import Kept
from gateway.device.kernel_clock import read_clocks
from gateway.device.outbox.outbox import Outbox
from gateway.device.outbox.record import OutboxSettings, Record
from gateway.device.plan import Plan, PlannedStream
from gateway.device.publisher import Publisher, Retained
from gateway.device.requests import Requests
from gateway.errors import BrokerError
from gateway.meta import latest_of, meta_of
from gateway.model import SCHEMA_VERSION, Batch, Gap, Message
from gateway.mqtt import Will
from gateway.state import held, made, state_path
from gateway.systemd import Notifier
from gateway.topics import Topics

log = logging.getLogger(__name__)

TICK_S = 0.5
"""How often the watchdog and the newest values are looked after."""
LATEST_PERIOD_S = 1.0
STALLED_S = 5.0
"""A source that has not answered for so long hangs: `read()` is to return within half a second."""
DRAIN_S = 5.0
"""How long a stop may take to send what is left."""
ACQUIRE_STOP_S = 3.0
OUTBOX_OPEN_S = 10.0
"""How long a start waits for the outbox's file, to number the epoch above what it holds.

What a file that opens later tells of earlier epochs is announced then.
"""


class DeviceService:
    """A running device. What its constructor took, such as the state directory, is given back by `stop()`."""

    def __init__(self, plan: Plan, readers: Readers | None = None) -> None:
        """Raises ConfigError if another device uses the state directory. `readers` stand in for the clocks."""
        with ExitStack() as undo:
            undo.callback(plan.board.close)
            self._set_up(plan, readers or Readers(partial(read_clocks, realtime_ns=plan.board.realtime_ns)), undo)
            self._undo = undo.pop_all()

    def _set_up(self, plan: Plan, readers: Readers, undo: ExitStack) -> None:
        config = plan.config
        self._plan = plan
        self._board = plan.board.describe()
        self._topics = Topics(config.mqtt.root)
        self._device = config.device.name
        self._streams = {planned.stream.name: planned.stream for planned in plan.streams}
        self._codecs = {name: CODECS[stream.codec] for name, stream in self._streams.items()}
        self._started = datetime.now(UTC)
        self._started_ns = time.monotonic_ns()
        self._newest: dict[str, Batch] = {}
        self._stopping = threading.Event()
        self._notifier = Notifier()
        self._losses = Losses()
        self._load = Load()
        self._events = Events()
        self.clocks = Clocks(self._on_event, readers)
        self._open_outbox(config, undo)
        self._acquisitions = [self._acquisition(planned) for planned in plan.streams]
        self._requests = Requests(
            self._kept,
            {name: stream.codec for name, stream in self._streams.items()},
            self.epoch,
            lambda record: self._publisher.send_again(record),
        )
        self._publisher = Publisher(
            config.mqtt,
            self._outbox,
            self._kept,
            client_id=f"headwater-{self._device}",
            batch_topic=lambda stream: self._topics.batch(self._device, stream),
            content_type=lambda codec: CODECS[codec].content_type,
            retained=self._retained(),
            request_filter=self._topics.request(self._device, "+"),
            on_request=self._requests.take,
            on_connected=self._events.flush,
        )
        self._events.through(self._send_event)
        self._keeper = threading.Thread(target=self._look_after, name="look after", daemon=True)

    def _open_outbox(self, config: DeviceConfig, undo: ExitStack) -> None:
        """Take the state directory, open what is kept there, and number the epoch."""
        directory = made(state_path(self._device, config.device.state))
        undo.enter_context(held(directory))
        settings = OutboxSettings(
            directory=directory,
            durability=config.outbox.durability,
            max_bytes=config.outbox.max_bytes,
            drop=config.outbox.drop,
        )
        self._kept = Kept(config.outbox.kept_bytes)
        self._outbox = Outbox(settings, on_event=self._on_event)
        self._outbox.start()
        undo.callback(self._outbox.close)
        previous = self._outbox.previous(OUTBOX_OPEN_S)
        self._knows_previous = previous is not None
        self.epoch = begin_epoch(directory, max((earlier.epoch for earlier in previous or []), default=0))

    def start(self) -> None:
        """Begin to sample and to connect; neither waits for the other.

        Raises BrokerError if the settings can never work; the device is stopped then.
        """
        try:
            self._publisher.start()
        except BrokerError:
            self._undo.close()
            raise
        self._requests.start()
        for acquisition in self._acquisitions:
            acquisition.start()
        self._keeper.start()
        self._notifier.ready()

    def stop(self) -> None:
        """Stop sampling, send what is left, say goodbye."""
        self._notifier.stopping()
        for acquisition in self._acquisitions:
            acquisition.ask_to_stop()
        patience_ends = time.monotonic() + ACQUIRE_STOP_S
        for acquisition in self._acquisitions:
            if not acquisition.stop(max(0.0, patience_ends - time.monotonic())):
                log.warning("%s: the source hangs; it is left behind", acquisition.name)
        self._stopping.set()
        self._keeper.join()
        self._requests.stop()
        if not self._publisher.stop(DRAIN_S):
            log.warning("stopped with %d messages unsent; they are kept", self._outbox.counters().records)
        self._undo.close()

    @property
    def failure(self) -> Exception | None:
        """What ended a thread that was not asked to stop."""
        failures = [acquisition.failure for acquisition in self._acquisitions] + [self._publisher.failure]
        return next((failure for failure in failures if failure is not None), None)

    def health(self) -> dict[str, Any]:
        """What the `health` topic says."""
        return health_of(
            epoch=self.epoch,
            uptime_s=(time.monotonic_ns() - self._started_ns) / 1e9,
            acquired={acquisition.name: acquisition.acquired for acquisition in self._acquisitions},
            stalled=self._stalled(),
            losses=self._losses,
            outbox=self._outbox.counters(),
            connects=self._publisher.connects,
            rejection=self._publisher.rejection,
            clock=self.clocks.describe(),
            load=self._load.read(),
        )

    def _acquisition(self, planned: PlannedStream) -> Acquisition:
        name = planned.stream.name
        clock = self.clocks.stream(planned.stream.rate)
        return Acquisition(
            name,
            planned.source,
            planned.stream.rate,
            Batcher(self.epoch, planned.batches, clock),
            clock,
            lambda message: self._keep(name, message),
            self._on_event,
            self._plan.config.device.realtime,
        )

    def _keep(self, name: str, message: Message) -> None:
        payload = self._codecs[name].encode(message)
        codec = self._codecs[name].name
        if isinstance(message, Gap):
            self._losses.add(name, message.reason, message.count)
            record = Record(name, message.epoch, message.index, message.count, payload, message.reason, codec)
        else:
            self._newest[name] = message
            record = Record(name, message.epoch, message.index, message.frames, payload, codec=codec)
        self._outbox.put(record)

    def _on_event(self, event: str, content: dict[str, Any]) -> None:
        log.info("event %s: %s", event, content)
        self._events.add(event, content)

    def _send_event(self, event: str, content: dict[str, Any]) -> bool:
        if event == "clock_step":
            self._publisher.announce()
        return self._publisher.publish_json(self._topics.event(self._device, "device", event), content, qos=1)

    def _look_after(self) -> None:
        """Feed the watchdog from the acquisitions' progress, and send the newest values and the health."""
        latest_s = health_s = time.monotonic()
        while not self._stopping.wait(TICK_S):
            self.clocks.look()
            self._look_for_previous()
            if not self._stalled():
                self._notifier.alive()
            now = time.monotonic()
            if now - latest_s >= LATEST_PERIOD_S:
                latest_s = now
                self._publish_latest()
                self._tell_systemd()
            if now - health_s >= self._plan.config.device.health:
                health_s = now
                self._publish_health()

    def _look_for_previous(self) -> None:
        """Announce what the outbox's file tells of earlier epochs, if it took longer to open than the start."""
        if not self._knows_previous and self._outbox.previous(0) is not None:
            self._knows_previous = True
            self._publisher.announce()

    def _publish_latest(self) -> None:
        for name in list(self._newest):
            content = latest_of(self._streams[name], self._newest.pop(name))
            self._publisher.publish_json(self._topics.latest(self._device, name), content, retain=True)

    def _publish_health(self) -> None:
        self._publisher.publish_json(self._topics.health(self._device), self.health())

    def _tell_systemd(self) -> None:
        """`headwater-update` reads the count of frames to tell whether a new version samples."""
        frames = sum(acquisition.acquired for acquisition in self._acquisitions)
        self._notifier.status(f"{frames} frames, {self._outbox.counters().records} messages unsent")

    def _stalled(self) -> list[str]:
        """The streams whose source hangs."""
        limit = time.monotonic_ns() - int(STALLED_S * 1e9)
        return [acquisition.name for acquisition in self._acquisitions if acquisition.progress_ns < limit]

    def _retained(self) -> Retained:
        return Retained(
            status=lambda: self._status(online=not self._stopping.is_set()),
            death=Will(*self._status(online=False, reason="connection lost")),
            others={
                self._topics.meta(self._device, name): json.dumps(meta_of(stream)).encode()
                for name, stream in self._streams.items()
            },
        )

    def _status(self, *, online: bool, reason: str = "stopped") -> tuple[str, bytes]:
        previous = self._outbox.previous(0)
        status: dict[str, Any] = {
            "v": SCHEMA_VERSION,
            "online": online,
            "epoch": self.epoch,
            "started": self._started.isoformat(timespec="milliseconds"),
            "versions": {"headwater": __version__, "python": platform.python_version()},
            "board": self._board,
            "clock": self.clocks.describe(),
            "streams": list(self._streams),
            "acquired": {acquisition.name: acquisition.acquired for acquisition in self._acquisitions},
            "previous": None if previous is None else [earlier.as_dict() for earlier in previous],
        }
        if not online:
            status["reason"] = reason
        return self._topics.status(self._device), json.dumps(status).encode()
