from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from boards import SourceLost
from boards.serial.options import SerialOptions
from boards.serial.port import Port, find_port, has_no_wire


def usb_port(device: str, vendor: int | None, product: int | None, number: str | None) -> ListPortInfo:
    info = ListPortInfo(device)
    info.vid, info.pid, info.serial_number = vendor, product, number
    return info


PORTS = [
    usb_port("/dev/ttyUSB1", 0x0403, 0x6001, "SECOND"),
    usb_port("/dev/ttyUSB0", 0x0403, 0x6001, "FIRST"),
    usb_port("/dev/ttyACM0", 0x2341, 0x0043, "cafe:0001"),
    usb_port("/dev/ttyS0", None, None, None),
]


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("usb:0403:6001", "/dev/ttyUSB0"),
        ("usb:0403:6001:SECOND", "/dev/ttyUSB1"),
        ("usb:FIRST", "/dev/ttyUSB0"),
        ("usb:2341:0043:cafe:0001", "/dev/ttyACM0"),
        ("/dev/ttyS0", "/dev/ttyS0"),
        ("socket://127.0.0.1:5", "socket://127.0.0.1:5"),
    ],
)
def test_ports_are_found_by_usb_id_and_serial_number(name: str, device: str) -> None:
    assert find_port(name, PORTS) == device


@pytest.mark.parametrize("name", ["usb:0403:6002", "usb:0403:6001:THIRD", "usb:NONE"])
def test_a_usb_port_that_is_not_there_is_lost_and_the_message_lists_those_that_are(name: str) -> None:
    with pytest.raises(SourceLost, match=r"usb:0403:6001:FIRST.*usb:0403:6001:SECOND"):
        find_port(name, PORTS)
    with pytest.raises(SourceLost, match="no USB port"):
        find_port(name, [])


@pytest.mark.parametrize(
    ("name", "without"),
    [("loop://", True), ("socket://h:1", True), ("rfc2217://h:1", False), ("/dev/ttyS0", False)],
)
def test_only_ports_with_a_wire_have_a_baud_rate(name: str, without: bool) -> None:
    assert has_no_wire(name) is without


def test_a_link_to_a_usb_modem_has_no_wire_either(tmp_path: Path) -> None:
    link = tmp_path / "arduino"
    link.symlink_to("/dev/ttyACM7")
    assert has_no_wire(str(link))


@contextmanager
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def test_a_port_that_is_not_there_is_lost() -> None:
    with pytest.raises(SourceLost, match="there is no port /dev/nothing; there are "):
        Port(SerialOptions(port="/dev/nothing"))


def test_an_open_port_is_refused_to_another() -> None:
    with terminal() as (_, name):
        first = Port(SerialOptions(port=name))
        with pytest.raises(SourceLost, match=f"{name} is in use by another program"):
            Port(SerialOptions(port=name))
        first.close()
        Port(SerialOptions(port=name)).close()


def test_a_port_without_permission_names_the_group() -> None:
    with terminal() as (_, name):
        Path(name).chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65_534)  # nobody: root may open anything
        try:
            with pytest.raises(SourceLost, match="group dialout"):
                Port(SerialOptions(port=name))
        finally:
            os.seteuid(user)


def test_something_that_is_no_port_is_lost(tmp_path: Path) -> None:
    plain = tmp_path / "file"
    plain.touch()
    with pytest.raises(SourceLost, match=f"{plain} cannot be opened"):
        Port(SerialOptions(port=str(plain)))
    with pytest.raises(SourceLost, match="nonsense://x cannot be opened"):
        Port(SerialOptions(port="nonsense://x"))


def test_init_is_sent_on_opening_and_what_lay_in_the_port_is_dropped() -> None:
    with terminal() as (master, name):
        os.write(master, b"old")
        port = Port(SerialOptions(port=name, init=b"\x01GO\r\n", dtr=False, rts=False))
        assert os.read(master, 100) == b"\x01GO\r\n"
        os.write(master, b"new")
        assert port.read(5) == b"new"
        assert port.read(0) == b""
        port.close()
        port.close()


def test_a_port_in_memory_reads_what_came_and_does_not_wait_for_more() -> None:
    port = Port(SerialOptions(port="loop://", init=b"abc"))
    assert port.read(5) == b"abc"
    assert port.read(0.01) == b""
    port.close()


def test_a_hung_up_port_is_lost() -> None:
    master, slave = os.openpty()
    port = Port(SerialOptions(port=os.ttyname(slave)))
    os.close(slave)
    os.close(master)
    with pytest.raises(SourceLost, match="went away"):
        port.read(5)
    port.close()
