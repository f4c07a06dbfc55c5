"""All checks for a configuration, in the order in which a person would look."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from boards.iio import IioBoard
from boards.iio.capture import BufferedSource
from boards.registry import AUTO
from gateway.config import DeviceConfig, RelayConfig
from gateway.doctor.beaglebone import check_beaglebone, find_adc
from gateway.doctor.board import board_finding, board_name, boards_finding, check_streams, machine_finding
from gateway.doctor.capture import capture_finding
from gateway.doctor.clock import check_clock
from gateway.doctor.finding import Finding
from gateway.doctor.machine import Machine
from gateway.doctor.network import check_broker, check_listening
from gateway.doctor.ports import check_ports
from gateway.doctor.realtime import check_realtime
from gateway.doctor.software import check_software
from gateway.doctor.storage import room_finding, state_finding
from gateway.state import state_path


def examine_machine(machine: Machine) -> Iterator[Finding]:
    """What can be said without a configuration."""
    yield from check_software()
    yield from check_clock(machine)
    name = board_name(AUTO, machine)
    yield machine_finding(AUTO if name else "", machine)
    yield boards_finding()
    if name:
        yield from _check_board(name, machine)


def examine_device(config: DeviceConfig, machine: Machine) -> Iterator[Finding]:
    """What `headwater run` needs."""
    yield from check_software()
    yield from check_clock(machine)
    yield machine_finding(config.device.board, machine)
    name = board_name(config.device.board, machine)
    if name:
        findings = list(_check_board(name, machine))
        yield from findings
        if all(finding.ok for finding in findings):
            yield from _check_streams(config, name, machine)
    yield from check_ports(config, machine)
    if config.device.realtime:
        yield check_realtime()
    directory = state_path(config.device.name, config.device.state)
    yield state_finding(directory)
    yield room_finding("disk", directory, config.outbox.max_bytes, "outbox.max_bytes")
    yield from check_broker(config.mqtt)


def examine_relay(config: RelayConfig, machine: Machine) -> Iterator[Finding]:
    """What `headwater relay` needs."""
    settings = config.relay
    return chain(
        check_software(),
        check_clock(machine),
        [check_listening(settings.host, settings.port, "relay.listen", machine)],
        *(check_broker(source) for source in config.mqtt),
    )


def _check_board(name: str, machine: Machine) -> Iterator[Finding]:
    """The board as such; of a BeagleBone first what it consists of, so that each fault has its own line."""
    parts = list(check_beaglebone(machine)) if name == "beaglebone" else []
    yield from parts
    if all(part.ok for part in parts):
        yield board_finding(name)


def _check_streams(config: DeviceConfig, name: str, machine: Machine) -> Iterator[Finding]:
    """Each stream, and the right to capture if one is captured through the kernel's buffer."""
    device = config.device.model_copy(update={"board": name})
    checked = list(check_streams(config.model_copy(update={"device": device})))
    yield from (stream.finding for stream in checked)
    if any(isinstance(stream.source, BufferedSource) for stream in checked):
        converter = find_adc(machine) if name == "beaglebone" else IioBoard(config.board).device
        if converter is not None:
            yield capture_finding(converter, machine)
