"""The device as a whole: what it says, what it keeps, and what it does when things go wrong around it."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from boards.base import Block
from boards.errors import SourceLost
from boards.faults import Unplug
from boards.simulated import SimulatedBoard
from gateway.account import IntervalSet
from gateway.config import DeviceConfig, load_mapping
from gateway.device.clocks import Readers
from gateway.device.kernel_clock import KernelClock, Reading
from gateway.device.outbox import Outbox, OutboxSettings, PreviousEpoch
from gateway.device.plan import Plan
from gateway.device.service import DeviceService
from gateway.errors import BrokerError, ConfigError
from tests.faults.proxy import FaultProxy
from tests.support.following import Following
from tests.support.mosquitto import Mosquitto
from tests.support.peer import Peer
from tests.support.processes import HeadwaterProcess
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


class Notifications:
    """What systemd would hear."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20)

    def wait_for(self, start: str) -> list[str]:
        """What was said before the next one that begins so."""
        before: list[str] = []
        while not (said := self._socket.recv(1000).decode()).startswith(start):
            before.append(said)
        return before

    def forget(self) -> None:
        """Read what was said so far."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(1000)
        except BlockingIOError:
            self._socket.settimeout(20)

    def __enter__(self) -> Notifications:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class TestOneDeviceForEachStateDirectory:
    def test_a_second_one_is_refused_until_the_first_has_stopped(self, tmp_path: Path) -> None:
        with running(plan_of(tmp_path)), pytest.raises(ConfigError, match="is in use by another device that runs"):
            DeviceService(plan_of(tmp_path))
        with running(plan_of(tmp_path)):
            pass

    def test_the_command_says_so_and_ends_with_2(self, tmp_path: Path) -> None:
        config = tmp_path / "device.toml"
        config.write_text(
            f'[device]\nstate = "{tmp_path}"\n[[stream]]\nname = "ecg"\nrate = 100\n'
            '[[stream.channel]]\nname = "lead"\ninput = "P9_39"\n'
        )
        with running(plan_of(tmp_path)), HeadwaterProcess("run", str(config), state=tmp_path) as second:
            assert second.wait() == 2
            assert second.err.startswith(f"headwater: device.state: {tmp_path} is in use by another device")

    def test_a_start_that_fails_half_way_leaves_nothing_behind(self, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        (tmp_path / "ca.pem").write_text("nothing")
        mqtt = {"url": "mqtts://127.0.0.1:1", "ca": str(tmp_path / "ca.pem")}
        service = DeviceService(plan_of(tmp_path / "state", mqtt=mqtt))
        with pytest.raises(BrokerError):
            service.start()
        assert set(threading.enumerate()) == before
        with running(plan_of(tmp_path / "state")):
            pass


class TestEpochs:
    def test_each_start_has_a_larger_one_and_the_birth_tells_of_those_before(
        self, mosquitto: Mosquitto, tmp_path: Path
    ) -> None:
        with running(plan_of(tmp_path)) as first:
            samples_beyond(first, 100)
        reached = acquired(first)
        with mail(mosquitto, "status") as statuses, running(plan_of(tmp_path, mosquitto.url)) as second:
            status = statuses.wait_for(lambda status: status["epoch"] == second.epoch, "the birth")
        assert second.epoch > first.epoch
        assert status["previous"] == [
            {"stream": "ecg", "epoch": first.epoch, "reached": reached, "backlog": [[0, reached]]}
        ]

    def test_they_are_told_though_the_outbox_s_file_opens_only_later(
        self, mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.device.service.OUTBOX_OPEN_S", 0.1)
        with running(plan_of(tmp_path)) as first:
            samples_beyond(first, 100)
        occupied = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
        occupied.execute("PRAGMA locking_mode = EXCLUSIVE")
        occupied.execute("BEGIN EXCLUSIVE")
        with mail(mosquitto, "status") as statuses, running(plan_of(tmp_path, mosquitto.url)) as second:
            unknown = statuses.wait_for(lambda status: status["epoch"] == second.epoch, "the birth")
            assert unknown["previous"] is None
            assert second.epoch > first.epoch
            occupied.execute("ROLLBACK")
            occupied.close()
            known = statuses.wait_for(lambda status: status["previous"] is not None, "what the file tells")
        assert known["previous"][0]["epoch"] == first.epoch


class TestStop:
    def test_everything_that_was_acquired_arrives_before_the_goodbye(
        self, mosquitto: Mosquitto, tmp_path: Path
    ) -> None:
        with followed(mosquitto) as follower:
            with running(plan_of(tmp_path, mosquitto.url)) as service:
                samples_beyond(service, 500)
            follower.wait_for(lambda audit: audit.stopped and not audit.holes(), "the goodbye, and no hole")
            account = follower.audit.epochs[service.epoch].account
        assert account.delivered == acquired(service) == account.end
        assert account.declared == 0

    def test_without_a_broker_it_is_kept_and_sent_after_the_next_start(
        self, mosquitto: Mosquitto, tmp_path: Path
    ) -> None:
        with running(plan_of(tmp_path)) as first:
            samples_beyond(first, 500)
        with followed(mosquitto) as follower, running(plan_of(tmp_path, mosquitto.url)):
            follower.wait_for(
                lambda audit: audit.epochs[first.epoch].account.delivered == acquired(first),
                "all of the first run",
            )

    def test_the_retained_status_says_offline_and_why(self, mosquitto: Mosquitto, tmp_path: Path) -> None:
        with running(plan_of(tmp_path, mosquitto.url)) as service, mail(mosquitto, "status") as statuses:
            statuses.wait_for(lambda status: status["online"], "the birth")
        with mail(mosquitto, "status") as statuses:
            status = statuses.wait_for(lambda status: not status["online"], "the retained status")
        assert status["reason"] == "stopped"
        assert status["acquired"] == {"ecg": acquired(service)}

    def test_a_source_that_hangs_is_left_behind_and_the_state_directory_is_free(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.device.service.ACQUIRE_STOP_S", 0.2)
        let_go = threading.Event()
        plan = plan_of(tmp_path)
        hanging = threading.Event()

        def hang() -> Block:
            hanging.set()
            let_go.wait(20)
            raise SourceLost("at last")

        plan.streams[0].source.read = hang  # type: ignore[method-assign]
        service = DeviceService(plan)
        service.start()
        assert hanging.wait(20)
        service.stop()
        with running(plan_of(tmp_path)):
            pass
        let_go.set()


class TestWatchdog:
    @pytest.fixture
    def notified(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notifications]:
        with Notifications(tmp_path / "notify") as manager:
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            monkeypatch.setattr("gateway.device.service.TICK_S", 0.05)
            monkeypatch.setattr("gateway.device.service.STALLED_S", 0.6)
            yield manager

    def test_progress_feeds_it_and_a_source_that_hangs_does_not(
        self, tmp_path: Path, notified: Notifications
    ) -> None:
        plan = plan_of(tmp_path)
        source = plan.streams[0].source
        read, may_read = source.read, threading.Event()
        may_read.set()

        def hang_on_demand() -> Any:
            may_read.wait(20)
            return read()

        source.read = hang_on_demand  # type: ignore[method-assign]
        with running(plan) as service:
            notified.wait_for("READY=1")
            notified.wait_for("WATCHDOG=1")
            assert service.health()["stalled"] == []
            may_read.clear()
            wait_until(lambda: service.health()["stalled"] == ["ecg"], "the hang to be noticed")
            notified.forget()
            for _ in range(5):  # it is the same thread that says these
                assert notified.wait_for("STATUS=") == []
            may_read.set()
            notified.wait_for("WATCHDOG=1")
            assert service.health()["stalled"] == []
        notified.wait_for("STOPPING=1")

    def test_a_source_that_is_lost_and_tried_again_is_progress(
        self, tmp_path: Path, notified: Notifications
    ) -> None:
        plan = plan_of(tmp_path)
        assert isinstance(plan.board, SimulatedBoard)
        with running(plan) as service:
            samples_beyond(service, 100)
            plan.board.inject(Unplug())
            time_lost = time.monotonic()
            while time.monotonic() < time_lost + 3:
                notified.wait_for("WATCHDOG=1")
                assert service.health()["stalled"] == []
            plan.board.replug()
            samples_beyond(service, 100)
            assert service.health()["lost"]["ecg"]["unplugged"] > 0

    def test_a_source_that_cannot_be_opened_is_no_hang_and_ends_nothing(
        self, tmp_path: Path, notified: Notifications, mosquitto: Mosquitto
    ) -> None:
        serial = {
            "rate": None,
            "serial": {"port": str(tmp_path / "none"), "frame": "line", "parse": "csv"},
            "channel": [{"name": "spo2", "input": "1"}],
        }
        with (
            mail(mosquitto, "event/device/source_lost") as events,
            running(plan_of(tmp_path / "state", mosquitto.url, stream=serial)) as service,
        ):
            event = events.wait_for(lambda event: event["stream"] == "ecg", "the event")
            notified.wait_for("WATCHDOG=1")
            assert service.failure is None
        assert str(tmp_path / "none") in event["error"]


class TestEvents:
    def test_a_damaged_outbox_is_told_though_it_was_found_before_there_was_a_connection(
        self, mosquitto: Mosquitto, tmp_path: Path
    ) -> None:
        with running(plan_of(tmp_path)) as first:
            samples_beyond(first, 100)
        file = tmp_path / "outbox.db"
        file.write_bytes(b"not a database at all" * 1000)
        with (
            mail(mosquitto, "event/device/outbox_corrupt") as events,
            running(plan_of(tmp_path, mosquitto.url)) as second,
        ):
            event = events.wait_for(lambda event: True, "the event")  # noqa: ARG005
            samples_beyond(second, 100)
            assert second.epoch > first.epoch
        assert "outbox.db.corrupt-" in event["file"]

    def test_a_step_of_the_wall_clock_is_told_and_followed(self, mosquitto: Mosquitto, tmp_path: Path) -> None:
        offset_ns = [0]
        synchronised = [False]

        def read() -> Reading:
            now = time.monotonic_ns()
            return Reading(now, now + offset_ns[0], 0)

        readers = Readers(read, lambda: KernelClock(synchronised[0], 5_000_000))
        step_ns = 50 * 365 * 86400 * 1_000_000_000
        with (
            mail(mosquitto, "event/device/clock_step") as events,
            mail(mosquitto, "status") as statuses,
            followed(mosquitto) as follower,
            running(plan_of(tmp_path, mosquitto.url), readers) as service,
        ):
            statuses.wait_for(lambda status: not status["clock"]["synchronised"], "the birth")
            samples_beyond(service, 100)
            offset_ns[0], synchronised[0] = step_ns, True
            event = events.wait_for(lambda event: True, "the event")  # noqa: ARG005
            statuses.wait_for(lambda status: status["clock"]["synchronised"], "the news")
            follower.wait_for(lambda audit: audit.epochs[service.epoch].continuity.jumps == 1, "the new time")
            samples_beyond(service, 100)
        assert event["after_ns"] - event["before_ns"] == step_ns
        assert event["synchronised"] is True
        continuity = follower.audit.epochs[service.epoch].continuity
        assert continuity.jumps == 1, "it steps once, and is not smeared"
        assert abs(continuity.worst_ns - step_ns) < 1_000_000_000


def test_what_ends_an_acquisition_is_told(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)

    def fail() -> Block:
        raise ValueError("a bug in the driver")

    plan.streams[0].source.read = fail  # type: ignore[method-assign]
    with running(plan) as service:
        wait_until(lambda: service.failure, "the failure")
        assert str(service.failure) == "a bug in the driver"


def test_an_outage_longer_than_the_outbox_costs_exactly_the_newest_where_that_is_wanted(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    outbox = {"max_bytes": "256KiB", "drop": "newest"}
    with (
        followed(mosquitto) as follower,
        running(plan_of(tmp_path, mosquitto.url, rate=20_000, outbox=outbox)) as service,
    ):
        follower.wait_for(lambda audit: audit.epochs[service.epoch].account.delivered > 1000, "live data")
        mosquitto.kill()
        before = acquired(service)
        dropped = wait_until(
            lambda: service.health()["outbox"]["dropped"].get("outbox_full", 0) > 20_000, "a full outbox"
        )
        assert dropped
        mosquitto.start()
        after = acquired(service)
        # who was away when the backlog went asks for it, as long as the device is there
        follower.wait_for(
            lambda audit: audit.epochs[service.epoch].account.end > after + 5000 and not audit.holes(),
            "everything",
        )
        service.stop()
        follower.wait_for(lambda audit: audit.stopped and not audit.holes(), "the goodbye, and no hole")
        account = follower.audit.epochs[service.epoch].account
    lost = account.lost["outbox_full"]
    assert account.covered.covers(0, before)
    assert not lost.overlap(0, before), "what was there before the outage is not the newest"
    assert lost.count == service.health()["outbox"]["dropped"]["outbox_full"]
    assert account.delivered == account.end - lost.count
    assert set(account.lost) == {"outbox_full"}


def test_what_was_on_disk_when_the_device_was_killed_arrives_and_the_rest_is_declared(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    config = tmp_path / "device.toml"
    content = (
        f'[device]\nname = "bbb1"\nstate = "{state}"\n[mqtt]\nurl = "mqtt://127.0.0.1:{{port}}"\n'
        '[outbox]\ndurability = "always"\n'
        '[[stream]]\nname = "ecg"\nrate = 1000\nbatch = "20ms"\n'
        '[[stream.channel]]\nname = "lead"\ninput = "P9_39"\n'
    )
    with followed(mosquitto) as follower, FaultProxy(mosquitto.port) as uplink:
        config.write_text(content.format(port=uplink.port))
        killed: list[PreviousEpoch] = []
        for number in range(3):
            with HeadwaterProcess("run", str(config), state=tmp_path) as device:
                follower.wait_for(lambda audit, number=number: len(audit.epochs) > number, "the epoch")  # type: ignore[misc]
                uplink.faults.refuse = True
                uplink.cut()  # so that there is a backlog
                wait_until(lambda: rows_in(state) > 20, "a backlog")
                device.kill()
            killed.append(previous_in(state)[-1])
            uplink.heal()
        with HeadwaterProcess("run", str(config), state=tmp_path) as device:
            follower.wait_for(lambda audit: len(audit.epochs) == 4 and not audit.holes(), "everything")
            assert device.terminate() == 0
        for known in killed:
            account = follower.audit.epochs[known.epoch].account
            lost = account.lost.get("crash", IntervalSet())
            assert account.undeclared(known.reached) == 0
            assert all(account.covered.covers(*part) and not lost.overlap(*part) for part in known.backlog)
            assert sum(end - start for start, end in known.backlog) > 0
            assert account.contradicted == 0


def rows_in(state: Path) -> int:
    """How large the outbox's log is, in pages: the file itself is locked by the device."""
    log = state / "outbox.db-wal"
    return log.stat().st_size // 4096 if log.exists() else 0
