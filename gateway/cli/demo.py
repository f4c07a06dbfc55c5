"""`headwater demo`: the whole way of a sample in one process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from gateway.broker import EmbeddedBroker, check_port
from gateway.config import DeviceConfig, RelayConfig, load_mapping
from gateway.device.plan import Plan
from gateway.device.service import DeviceService
from gateway.quantities import parse_rate
from gateway.relay.service import RelayService
from gateway.state import state_path
from gateway.stopping import stop_signal
from gateway.topics import Topics

HOST = "127.0.0.1"
DEVICE = "demo"

VOLT_PER_COUNT = 1.8 / 4095
FRONT_END = {"scale": VOLT_PER_COUNT / 0.4, "offset": -0.9 / 0.4}
"""The simulated ECG amplifier backwards: 0.4 V at the pin for 1 mV, 0 mV at 0.9 V."""


@click.command(
    epilog="""\b
Examples:
  headwater demo
  headwater demo --port 8081 --mqtt-port 1884
  headwater demo --datalog ekg.txt --rate 200"""
)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="The page's port.")
@click.option(
    "--mqtt-port", type=click.IntRange(1, 65535), default=1883, show_default=True, help="The broker's port."
)
@click.option(
    "--datalog",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Play this recording, one number a line or CSV, in place of the simulated ECG.",
)
@click.option("--rate", default="500", show_default=True, help="Frames a second, such as 200 or 1000/3.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, another heart.")
def command(port: int, mqtt_port: int, datalog: Path | None, rate: str, seed: int) -> None:
    """Run a simulated board, an MQTT broker, the relay and the page; Ctrl-C stops it."""
    try:
        parse_rate(rate)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rate") from None
    mqtt = {"url": f"mqtt://{HOST}:{mqtt_port}", "protocol": EmbeddedBroker.PROTOCOL}
    settings = device_settings(mqtt, rate, datalog, seed)
    # demos on other ports may run beside this one, and each device needs a directory of its own
    settings["device"]["state"] = state_path(f"{DEVICE}-{mqtt_port}", None)
    device = load_mapping(DeviceConfig, settings, "demo")
    relay = load_mapping(RelayConfig, relay_settings(mqtt, port), "demo")
    plan = Plan(device)
    asyncio.run(_run(plan, relay, port, mqtt_port))


def device_settings(mqtt: dict[str, Any], rate: str, datalog: Path | None, seed: int) -> dict[str, Any]:
    """The demo's device, as its TOML file would have it."""
    return {
        "device": {"name": DEVICE, "board": "simulated"},
        "board": {"seed": seed},
        "mqtt": mqtt,
        "stream": [_ecg(rate) if datalog is None else _datalog(rate, datalog)],
    }


def relay_settings(mqtt: dict[str, Any], port: int) -> dict[str, Any]:
    """The demo's relay: its broker ends with it, and has nothing to keep for later."""
    return {
        "relay": {"listen": f"{HOST}:{port}"},
        "mqtt": {**mqtt, "persistent": False},
        "history": {"disk": 0},
    }


def _ecg(rate: str) -> dict[str, Any]:
    return {
        "name": "ecg",
        "rate": rate,
        "channel": [
            {"name": "lead_i", "input": "P9_39", "unit": "mV", **FRONT_END},
            {"name": "respiration", "input": "P9_40", "unit": "V", "scale": VOLT_PER_COUNT},
        ],
    }


def _datalog(rate: str, path: Path) -> dict[str, Any]:
    options = {"signal": "file", "path": str(path)}
    # a scale of its own: the file's numbers are no volts of the pin
    channel = {"name": "value", "input": "P9_39", "scale": 1.0, "options": options}
    return {"name": "datalog", "rate": rate, "channel": [channel]}


async def _run(plan: Plan, relay: RelayConfig, port: int, mqtt_port: int) -> None:
    stopping = stop_signal()
    check_port(HOST, port, "--port")
    async with EmbeddedBroker(HOST, mqtt_port), RelayService(relay):
        device = DeviceService(plan)
        device.start()
        try:
            _greet(plan, port, mqtt_port)
            await stopping.wait()
        finally:
            click.echo("stopping …")
            await asyncio.to_thread(device.stop)


def _greet(plan: Plan, port: int, mqtt_port: int) -> None:
    topics = Topics(plan.config.mqtt.root)
    stream = plan.streams[0].stream
    click.echo(f"The page      http://{HOST}:{port}")
    click.echo(f"The broker    mqtt://{HOST}:{mqtt_port}")
    click.echo("The topics    " + topics.status(DEVICE))
    for topic in (topics.meta, topics.batch, topics.latest):
        click.echo("              " + topic(DEVICE, stream.name))
    click.echo(f"Listen in     mosquitto_sub -p {mqtt_port} -v -t '{topics.latest(DEVICE, stream.name)}'")
    click.echo(f"              headwater sub --url mqtt://{HOST}:{mqtt_port} {stream.key}")
    click.echo("Ctrl-C stops it.")
