"""The device when things go wrong around it: disk, clock, driver, broker, and its own end."""

from __future__ import annotations

import time
from pathlib import Path

from boards.base import Block
from gateway.account import IntervalSet
from gateway.device.clocks import Readers
from gateway.device.kernel_clock import KernelClock, Reading
from gateway.device.outbox import PreviousEpoch
from tests.faults.proxy import FaultProxy
from tests.gateway.device.devices import (
    acquired,
    followed,
    mail,
    plan_of,
    previous_in,
    running,
    samples_beyond,
)
from tests.support.mosquitto import Mosquitto
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until


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
