"""`headwater status`: how devices are."""

from __future__ import annotations

import json
import queue
import time
from typing import Any

import click

from boards.options import parse_options
from gateway.cli.common import broker_options
from gateway.client.subscribe import open_inbox
from gateway.codec.json import json_object
from gateway.errors import CodecError, HeadwaterError, TopicError
from gateway.mqtt import MqttSettings
from gateway.topics import DeviceTopic, Topics, check_name

RETAINED_S = 1.0
"""How long the retained statuses may take to come."""


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
def command(device: str | None, url: str, root: str, wait: float, as_json: bool) -> None:
    """Show what devices say of themselves: online or not, epoch, streams, queues, losses, load, clock."""
    settings = parse_options(MqttSettings, {"url": url, "root": root}, "--url, --root")
    found = _collect(settings, check_name(device, "device") if device else "+", wait)
    if device and device not in found:
        raise HeadwaterError(f"no device {device!r} has been on {url} below {root!r}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo(f"no device has been on {url} below {root!r}")
    for name in sorted(found):
        _print(name, found[name])


def _collect(settings: MqttSettings, device: str, wait_s: float) -> dict[str, dict[str, Any]]:
    topics = Topics(settings.root)
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + max(RETAINED_S, wait_s)
    with open_inbox(settings, (topics.status(device), topics.health(device)), "status") as inbox:
        while (left := deadline - time.monotonic()) > 0:
            try:
                topic, payload = inbox.get(left)
                about = topics.parse(topic)
                if isinstance(about, DeviceTopic) and payload:
                    found.setdefault(about.device, {})[about.leaf] = json_object(payload)
            except queue.Empty:
                break
            except (CodecError, TopicError):
                continue
            if wait_s and device in found and {"status", "health"} <= found[device].keys():
                break
    return found


def _print(name: str, about: dict[str, Any]) -> None:
    status, health = about.get("status", {}), about.get("health", {})
    state = "online" if status.get("online") else f"offline ({status.get('reason', 'unknown')})"
    click.echo(f"{name}: {state}, epoch {status.get('epoch')}, streams {', '.join(status.get('streams', []))}")
    if not health:
        return
    outbox, clock = health["outbox"], health["clock"]
    click.echo(
        f"  acquired   {', '.join(f'{stream} {frames:,}' for stream, frames in health['acquired'].items())}"
    )
    lost = [f"{stream} {count:,} {why}" for stream, whys in health["lost"].items() for why, count in whys.items()]
    click.echo(f"  lost       {', '.join(lost) or 'nothing'}")
    click.echo(
        f"  unsent     {outbox['records']:,} messages, {outbox['bytes']:,} bytes, oldest {outbox['oldest_s']} s"
    )
    click.echo(f"  reconnects {health['reconnects']}")
    click.echo(f"  clock      {'synchronised' if clock.get('synchronised') else 'not synchronised'}")
    celsius = f", {health['celsius']:g} °C" if health.get("celsius") is not None else ""
    click.echo(f"  load       {health['cpu_percent']:g} % CPU, {health['memory_mib']:g} MiB{celsius}")
    if health["stalled"]:
        click.echo(f"  HANGS      {', '.join(health['stalled'])}")
