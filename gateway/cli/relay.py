"""`headwater relay`: from the broker to the subscribers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.cli.common import config_options
from gateway.config import RelayConfig, load, parse_workers
from gateway.logs import LogSettings, show_progress
from gateway.relay.loops import loop_factory
from gateway.relay.serving import serve
from gateway.relay.workers import Workers
from gateway.stopping import stop_signal
from gateway.systemd import Notifier
from gateway.topics import Topics


@click.command(
    epilog="""\b
Examples:
  headwater relay                       with the defaults: 127.0.0.1:1883 to http://127.0.0.1:8080
  headwater relay relay.toml
  headwater relay --set relay.listen=127.0.0.1:9000
  headwater relay --workers auto        a process for each CPU"""
)
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@config_options
@click.option("--workers", metavar="N|auto", help="How many processes serve the ports together; as relay.workers.")
@click.pass_obj
def command(
    logs: LogSettings, config: Path | None, overrides: tuple[str, ...], check: bool, workers: str | None
) -> None:
    """Take the streams from the broker and serve them, and the page, over HTTP.

    CONFIG is a TOML file; without one the defaults hold. SIGTERM and Ctrl-C stop it;
    SIGHUP has it read its certificate and the keys of tokens anew.
    """
    settings = load(RelayConfig, config, (*overrides, *_workers(workers)))
    if check:
        _describe(settings)
        return
    show_progress()
    if settings.relay.workers > 1:
        asyncio.run(_run_workers(settings, logs))
        return
    with asyncio.Runner(loop_factory=loop_factory(settings.relay.loop)) as runner:
        runner.run(_serve(settings))


async def _serve(settings: RelayConfig) -> None:
    await serve(settings, Notifier(), stop_signal())


async def _run_workers(settings: RelayConfig, logs: LogSettings) -> None:
    await Workers(settings, logs, Notifier()).run(stop_signal())


def _workers(value: str | None) -> list[str]:
    """The option as the override that it is."""
    if value is None:
        return []
    try:
        return [f"relay.workers={parse_workers(value)}"]
    except ValueError as error:
        raise click.BadParameter(f"{error}; found {value!r}", param_hint="--workers") from None


def _describe(settings: RelayConfig) -> None:
    number = settings.relay.workers
    workers = f", {number} workers" if number > 1 else ""
    for source in settings.mqtt:
        click.echo(f"relay from {source.address} to http://{settings.relay.listen}{workers}")
        for topic in Topics(source.root).everything_for_relay():
            click.echo(f"subscribes to {topic}")
