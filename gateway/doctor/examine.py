"""All checks for a configuration, in the order in which a person would look."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from boards.registry import AUTO
from gateway.config import DeviceConfig, RelayConfig
from gateway.device.state import state_path
from gateway.doctor.board import board_finding, board_name, boards_finding, machine_finding, stream_findings
from gateway.doctor.clock import check_clock
from gateway.doctor.finding import Finding
from gateway.doctor.machine import Machine
from gateway.doctor.network import check_broker, check_listening
from gateway.doctor.software import check_software
from gateway.doctor.storage import room_finding, state_finding


def examine_machine(machine: Machine) -> Iterator[Finding]:
    """What can be said without a configuration."""
    yield from check_software()
    yield from check_clock(machine)
    name = board_name(AUTO, machine)
    yield machine_finding(AUTO if name else "", machine)
    yield boards_finding()
    if name:
        yield board_finding(name)


def examine_device(config: DeviceConfig, machine: Machine) -> Iterator[Finding]:
    """What `headwater run` needs."""
    yield from check_software()
    yield from check_clock(machine)
    yield machine_finding(config.device.board, machine)
    name = board_name(config.device.board, machine)
    if name:
        there = board_finding(name)
        yield there
        if there.ok:
            yield from stream_findings(config)
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
        check_broker(config.mqtt),
    )
