"""`headwater run`: the device."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.common import config_argument, config_options
from gateway.config import DeviceConfig, load
from gateway.device.plan import Plan
from gateway.device.service import DeviceService
from gateway.errors import HeadwaterError
from gateway.logs import show_progress
from gateway.stopping import stop_event

WATCH_PERIOD_S = 0.5


@click.command(
    epilog="""\b
Examples:
  headwater run device.toml
  headwater run --check device.toml
  headwater run --set mqtt.url=mqtts://broker.lan:8883 device.toml"""
)
@config_argument
@config_options
def command(config: Path, overrides: tuple[str, ...], check: bool) -> None:
    """Sample the board that CONFIG (TOML) describes and publish to its broker.

    A broker that is away is tried again until it is there; SIGTERM and Ctrl-C send what is left and stop.
    """
    plan = Plan(load(DeviceConfig, config, overrides))
    if check:
        for line in plan.describe():
            click.echo(line)
        return
    show_progress()
    stopping = stop_event()
    service = DeviceService(plan)
    service.start()
    while not stopping.wait(WATCH_PERIOD_S) and service.failure is None:
        pass
    service.stop()
    if service.failure is not None:
        raise HeadwaterError(f"the device ended: {service.failure}")
