"""The device as a whole: what it says, what it keeps, and how it starts and stops."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from boards.base import Block
from boards.errors import SourceLost
from boards.faults import Unplug
from boards.simulated import SimulatedBoard
from deploy.board.headwater_update.health import parse_look
from gateway.device.service import DeviceService
from gateway.errors import BrokerError, ConfigError
from tests.gateway.device.devices import (
    acquired,
    followed,
    mail,
    plan_of,
    running,
    samples_beyond,
)
from tests.support.mosquitto import Mosquitto
from tests.support.notifications import Notifications
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until


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
            monkeypatch.setattr("gateway.device.service.LATEST_PERIOD_S", 0.1)
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

    def test_the_status_begins_with_the_frames_acquired_however_seldom_the_health_is_published(
        self, tmp_path: Path, notified: Notifications
    ) -> None:
        with running(plan_of(tmp_path, device={"health": "1h"})):
            told: list[str] = []
            while len(told) < 5:
                told += [said.removeprefix("STATUS=") for said in [notified.next()] if said.startswith("STATUS=")]
        frames = [parse_look({"StatusText": text}).frames for text in told]
        assert None not in frames, told
        assert frames == sorted(frames, key=lambda count: count or 0)
        assert frames[-1] != frames[0]

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
