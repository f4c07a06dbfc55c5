"""`headwater status`: how devices are."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Iterator
from typing import Any

import click

from gateway.cli.common import broker_options
from gateway.client.subscribe import open_inbox
from gateway.codec.json import json_object
from gateway.errors import BrokerError, CodecError, HeadwaterError, TopicError
from gateway.mqtt_settings import MqttSettings
from gateway.topics import DeviceTopic, Topics, check_name

CONNECT_S = 10.0
"""How long the broker may take to answer."""
RETAINED_S = 1.0
"""How long the retained statuses may take to come then."""
STEP_S = 0.1


@click.command(
    epilog="""\b
Examples:
  headwater status                      every device on the broker
  headwater status bbb1 --wait 10       with its next health message
  headwater status --json"""
)
@click.argument("device", required=False)
@broker_options
@click.option("--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for a health message.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(device: str | None, settings: MqttSettings, wait: float, as_json: bool) -> None:
    """Show what devices say of themselves: online or not, epoch, streams, queues, losses, load, clock."""
    found = _collect(settings, check_name(device, "device") if device else "+", wait)
    if device and device not in found:
        raise HeadwaterError(f"no device {device!r} has been on {settings.address} below {settings.root!r}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo(f"no device has been on {settings.address} below {settings.root!r}")
    for name in sorted(found):
        _print(name, found[name])


def _collect(settings: MqttSettings, device: str, wait_s: float) -> dict[str, dict[str, Any]]:
    topics = Topics(settings.root)
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + CONNECT_S
    connected = False
    with open_inbox(settings, (topics.status(device), topics.health(device)), "status") as inbox:
        while (left := deadline - time.monotonic()) > 0:
            if inbox.connected and not connected:
                connected, deadline = True, time.monotonic() + max(RETAINED_S, wait_s)
            try:
                topic, payload = inbox.get(min(left, STEP_S))
                about = topics.parse(topic)
                if isinstance(about, DeviceTopic) and payload:
                    found.setdefault(about.device, {})[about.leaf] = json_object(payload)
            except queue.Empty:
                continue
            except (CodecError, TopicError):
                continue
            if wait_s and device in found and {"status", "health"} <= found[device].keys():
                break
    if not connected:
        raise BrokerError(f"broker: {settings.address} does not answer")
    return found


def _print(name: str, about: dict[str, Any]) -> None:
    for part, lines in (("status", _status_lines), ("health", _health_lines)):
        if part in about:
            try:
                shown = list(lines(name, about[part]))
            except (AttributeError, KeyError, TypeError, ValueError):
                shown = [f"{name}: its {part} is not what a device writes"]
            click.echo("\n".join(shown))


def _status_lines(name: str, status: dict[str, Any]) -> Iterator[str]:
    state = "online" if status["online"] else f"offline ({status.get('reason', 'unknown')})"
    yield f"{name}: {state}, epoch {status['epoch']}, streams {', '.join(status['streams'])}"


def _health_lines(_: str, health: dict[str, Any]) -> Iterator[str]:
    outbox = health["outbox"]
    yield f"  acquired   {', '.join(f'{stream} {frames:,}' for stream, frames in health['acquired'].items())}"
    lost = [f"{stream} {count:,} {why}" for stream, whys in health["lost"].items() for why, count in whys.items()]
    lost += [f"{count:,} {why}" for why, count in outbox["dropped"].items()]
    yield f"  lost       {', '.join(lost) or 'nothing'}"
    yield f"  unsent     {outbox['records']:,} messages, {outbox['bytes']:,} bytes, oldest {outbox['oldest_s']} s"
    yield f"  reconnects {health['reconnects']}"
    yield f"  clock      {'synchronised' if health['clock']['synchronised'] else 'not synchronised'}"
    celsius = f", {health['celsius']:g} °C" if health.get("celsius") is not None else ""
    yield f"  load       {health['cpu_percent']:g} % CPU, {health['memory_mib']:g} MiB{celsius}"
    if health["stalled"]:
        yield f"  HANGS      {', '.join(health['stalled'])}"
    if health.get("rejected"):
        yield f"  REJECTED   by the broker: {health['rejected']}"
    if outbox["degraded"]:
        yield f"  NO DISK    {outbox['degraded']}"
