"""`headwater relay`: from the broker to the subscribers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.cli.common import config_options
from gateway.config import RelayConfig, load
from gateway.logs import show_progress
from gateway.relay.loops import loop_factory
from gateway.relay.serving import serve
from gateway.stopping import stop_signal
from gateway.systemd import Notifier
from gateway.topics import Topics


@click.command(
    epilog="""\b
Examples:
  headwater relay                       with the defaults: 127.0.0.1:1883 to http://127.0.0.1:8080
  headwater relay relay.toml
  headwater relay --set relay.listen=127.0.0.1:9000"""
)
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@config_options
def command(config: Path | None, overrides: tuple[str, ...], check: bool) -> None:
    """Take the streams from the broker and serve them, and the page, over HTTP.

    CONFIG is a TOML file; without one the defaults hold. SIGTERM and Ctrl-C stop it;
    SIGHUP has it read its certificate and the keys of tokens anew.
    """
    settings = load(RelayConfig, config, overrides)
    if check:
        for source in settings.mqtt:
            click.echo(f"relay from {source.address} to http://{settings.relay.listen}")
            for topic in Topics(source.root).everything_for_relay():
                click.echo(f"subscribes to {topic}")
        return
    show_progress()
    with asyncio.Runner(loop_factory=loop_factory(settings.relay.loop)) as runner:
        runner.run(_serve(settings))


async def _serve(settings: RelayConfig) -> None:
    await serve(settings, Notifier(), stop_signal())
