"""What the gateway must do on a board, whatever the board is made of. Subclassed for a container and for QEMU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until
from tests.vm.image import adc
from tests.vm.image import gateway_on_card as gateway
from tests.vm.image.broker import Broker
from tests.vm.image.gateway_on_card import STREAM, UNIT, Listener, listening
from tests.vm.image.login import Shell, show

MOST_MIB = 160
"""MemoryHigh of the unit."""


@dataclass(frozen=True, slots=True)
class Running:
    """A board with the stand-in ADC, whose gateway publishes to the broker."""

    shell: Shell
    broker: Broker
    listener: Listener


def start(shell: Shell, broker: Broker, host: str, port: int) -> None:
    """Give the board its ADC, a certificate and a configuration, and start the gateway as its unit."""
    adc.install(shell)
    # what it makes of the configuration at its first start comes before what is made of it here
    shell.run("systemctl start headwater-image-broker")
    shell.run(f"systemctl unmask --quiet {UNIT}")
    gateway.configure(shell, broker, host, port)
    shell.run(
        f"systemctl enable --quiet {UNIT}; systemctl restart {UNIT} || "
        f"{{ journalctl --unit {UNIT} --output cat --no-pager --lines 40; exit 1; }}"
    )


class GatewayContract:
    """Needs the fixture `machine`: the board's shell, and a broker that its gateway publishes to."""

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls, machine: tuple[Shell, Broker]) -> Iterator[Running]:
        """With a subscriber on this computer."""
        shell, broker = machine
        with listening(broker) as listener:
            listener.wait_for_more(1, gateway.START_S)
            yield Running(shell, broker, listener)

    def test_a_subscriber_gets_the_values_on_the_pins_through_tls(self, running: Running) -> None:
        for values in ((1234, 4095), (0, 2048)):
            for pin, raw in zip(gateway.PINS, values, strict=True):
                adc.set_value(running.shell, pin, raw)
            seconds = running.listener.wait_for(tuple(map(float, values)))
            print(f"\n{values} after {seconds:.1f} s")
        connected = [line for line in running.broker.log.splitlines() if " as headwater-bbb1" in line]
        assert connected, "the device"
        assert f"u'{STREAM.split('/')[0]}'" in connected[-1], "by its certificate"

    def test_the_values_were_read_by_adafruits_library(self, running: Running) -> None:
        pid = show(running.shell, UNIT, "MainPID")["MainPID"]
        assert "Adafruit_BBIO/ADC" in running.shell.run(f"cat /proc/{pid}/maps")

    def test_the_gateway_runs_as_its_unit_in_its_sandbox(self, running: Running) -> None:
        unit = show(running.shell, UNIT, "MainPID", "User", "NRestarts", "Type", "WatchdogUSec", "ActiveState")
        assert (unit["ActiveState"], unit["Type"], unit["User"]) == ("active", "notify", "headwater")
        status = running.shell.run(f"cat /proc/{unit['MainPID']}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["NoNewPrivs"] == "1"
        assert int(fields["CapEff"], 16) == 0
        assert fields["Uid"].split()[0] == running.shell.run("id -u headwater").strip()
        mounts = running.shell.run(f"cat /proc/{unit['MainPID']}/mounts")
        (root,) = [line.split()[3] for line in mounts.splitlines() if line.split()[1] == "/"][-1:]
        assert root.split(",")[0] == "ro", "ProtectSystem=strict"

    def test_it_takes_no_more_than_a_board_can_give(self, running: Running) -> None:
        cost = gateway.cost(running.shell)
        print(f"\n{type(self).__name__}: {cost}")
        assert cost.rss_mib < MOST_MIB

    @pytest.mark.parametrize("how", ["the process is stopped", "a read does not return"])
    def test_one_that_hangs_is_restarted_by_the_watchdog_and_no_frame_is_lost_silently(
        self, running: Running, how: str, tmp_path: Path
    ) -> None:
        before = show(running.shell, UNIT, "MainPID", "NRestarts")
        epochs = len(running.listener.epochs)
        url = running.broker.plain_url
        with HeadwaterProcess("audit", STREAM, "--url", url, "--settle", "120", state=tmp_path) as audit:
            running.listener.wait_for_more(50)
            if how == "the process is stopped":
                running.shell.run(f"kill -STOP {before['MainPID']}")
            else:
                adc.hang(running.shell)

            def restarted() -> bool:
                now = show(running.shell, UNIT, "MainPID", "NRestarts")
                return int(now["NRestarts"]) > int(before["NRestarts"]) and now["MainPID"] != "0"

            wait_until(restarted, "the watchdog", gateway.START_S)
            adc.let_go(running.shell)
            wait_until(lambda: len(running.listener.epochs) > epochs, "another epoch", gateway.START_S)
            running.listener.wait_for_more(50)
            said = running.shell.run(f"journalctl -u {UNIT} -o cat --no-pager | grep -i watchdog | tail -1")
            assert "watchdog" in said.lower()
            assert audit.terminate(300) == 0, audit
