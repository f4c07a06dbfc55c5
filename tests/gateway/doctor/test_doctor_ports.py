"""Serial ports: on a stand-in tree, and a real pseudo-terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.config import DeviceConfig, load_mapping
from gateway.doctor import Machine, examine_device
from gateway.doctor.ports import port_finding, ports_of
from tests.gateway.doctor.standin import StandIn, as_ordinary_user


@pytest.fixture
def there(open_folder: Path) -> StandIn:
    """A machine with the ports ttyS1 and ttyUSB0, the latter by its id too."""
    machine = StandIn(open_folder)
    machine.write("/dev/ttyS1", "")
    machine.write("/sys/class/tty/ttyS1/type", "4\n")
    machine.write("/dev/ttyUSB0", "")
    machine.link("/dev/serial/by-id/usb-FTDI_A1", "../../ttyUSB0")
    machine.write("/sys/class/tty/console/active", "ttyS0\n")
    return machine


@pytest.mark.parametrize("port", ["/dev/ttyS1", "/dev/ttyUSB0", "/dev/serial/by-id/usb-FTDI_A1"])
def test_a_port_that_is_there_and_free_is_well(there: StandIn, port: str) -> None:
    finding = port_finding(port, there.machine)
    assert finding.ok
    assert finding.found == f"{port} is there and free"


def test_a_port_that_is_not_there_is_answered_with_those_like_it(there: StandIn) -> None:
    assert "there are ttyUSB0" in (port_finding("/dev/ttyUSB7", there.machine).todo or "")
    assert "correct `port`" in (port_finding("/dev/ttyAMA0", there.machine).todo or "")


def test_a_port_without_a_uart_is_told_of(there: StandIn) -> None:
    there.write("/sys/class/tty/ttyS1/type", "0\n")
    finding = port_finding("/dev/ttyS1", there.machine)
    assert "no UART behind it" in finding.found
    assert "overlay" in (finding.todo or "")


def test_a_port_of_a_group_names_the_group_to_join(there: StandIn) -> None:
    path = there.machine.at("/dev/ttyS1")
    path.chmod(0)
    with as_ordinary_user():
        finding = port_finding("/dev/ttyS1", there.machine)
    assert f"by the group {path.group()}" in finding.found
    assert f"usermod -aG {path.group()}" in (finding.todo or "")


def test_the_kernels_console_is_no_port_for_an_instrument(there: StandIn) -> None:
    there.write("/sys/class/tty/console/active", "tty0 ttyS1\n")
    finding = port_finding("/dev/ttyS1", there.machine)
    assert "console=ttyS1" in (finding.todo or "")


def test_a_getty_is_seen_without_roots_rights(there: StandIn) -> None:
    there.run(400, "/sbin/agetty", "-o", "-p -- \\u", "--keep-baud", "115200", "ttyS1", "vt220")
    finding = port_finding("/dev/ttyS1", there.machine)
    assert finding.todo == "sudo systemctl disable --now serial-getty@ttyS1.service"
    assert port_finding("/dev/ttyUSB0", there.machine).ok


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "/dev/serial/by-id/usb-FTDI_A1"])
def test_a_port_that_another_program_holds_names_it(there: StandIn, port: str) -> None:
    there.run(401, "/usr/sbin/ModemManager", files=["/dev/null", "/dev/ttyUSB0"])
    finding = port_finding(port, there.machine)
    assert "held by /usr/sbin/ModemManager (process 401)" in finding.found
    assert not finding.ok


def test_a_port_that_headwater_holds_is_as_it_should_be(there: StandIn) -> None:
    there.run(402, "/usr/bin/python3", "/usr/bin/headwater", "run", files=["/dev/ttyUSB0"])
    assert port_finding("/dev/ttyUSB0", there.machine).ok


def test_a_real_terminal_that_a_real_process_holds_is_told_of() -> None:
    master, slave = os.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    holding = [
        sys.executable,
        "-c",
        "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()",
    ]
    assert port_finding(name, Machine()).ok
    with subprocess.Popen([*holding, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert f"(process {process.pid})" in port_finding(name, Machine()).found
        process.communicate()
    os.close(master)


def test_a_url_is_left_alone_and_a_usb_id_is_looked_for() -> None:
    assert port_finding("socket://127.0.0.1:1", Machine()).ok
    finding = port_finding("usb:ffff:ffff:NONE", Machine())
    assert "not plugged in" in finding.found
    assert not finding.ok


def config(content: dict[str, Any]) -> DeviceConfig:
    row = {"name": "a", "input": "a"}
    streams = [{"channel": [row], **stream} for stream in content.pop("stream")]
    return load_mapping(
        DeviceConfig, {"mqtt": {"url": "mqtt://127.0.0.1:1"}, **content, "stream": streams}, "test"
    )


def test_all_ports_of_a_configuration_are_looked_at_once() -> None:
    serial = {"port": "/dev/ttyS1", "baud": 9600}
    streams = [{"name": "a", "serial": serial}, {"name": "b", "serial": serial}, {"name": "c", "rate": 1}]
    chosen = config({"device": {"board": "blinka"}, "board": {"port": "/dev/ttyS4"}, "stream": streams})
    assert ports_of(chosen) == ["/dev/ttyS4", "/dev/ttyS1"]


def test_the_ports_are_part_of_a_devices_examination(there: StandIn) -> None:
    streams = [{"name": "a", "serial": {"port": "/dev/ttyS1"}}, {"name": "b", "serial": {"port": "/dev/ttyS2"}}]
    chosen = config({"device": {"state": str(there.machine.root)}, "stream": streams})
    found = [finding.ok for finding in examine_device(chosen, there.machine) if finding.check == "port"]
    assert found == [True, False]
