"""`headwater broker`: the embedded broker by itself."""

from __future__ import annotations

import asyncio

import click

from gateway.broker import EmbeddedBroker
from gateway.stopping import stop_signal


@click.command(
    epilog="""\b
Examples:
  headwater broker
  headwater broker --port 1884"""
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", "port", type=click.IntRange(1, 65535), default=1883, show_default=True)
def command(host: str, port: int) -> None:
    """Run an MQTT 3.1.1 broker for trying things out: no login, nothing kept on disk.

    For everyday use install mosquitto.
    """
    asyncio.run(_serve(host, port))


async def _serve(host: str, port: int) -> None:
    stopping = stop_signal()
    async with EmbeddedBroker(host, port, "--port"):
        click.echo(f"MQTT broker on mqtt://{host}:{port}; Ctrl-C stops it")
        await stopping.wait()
