"""`headwater audit`: was every frame delivered or declared lost?"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from gateway.audit import Audit
from gateway.cli.common import broker_options
from gateway.client.follow import Follower
from gateway.client.history import read_history
from gateway.errors import HeadwaterError
from gateway.mqtt_settings import MqttSettings
from gateway.stopping import stop_event
from gateway.topics import split_stream_key


@click.command(
    epilog="""\b
Examples:
  headwater audit demo/ecg --duration 60
  headwater audit bbb1/ecg --until-stopped --json
  headwater audit bbb1/ecg --relay http://127.0.0.1:8080
Exit code 1 means that a frame is missing of which nobody said that it is lost, 2 that there was nothing to
account for."""
)
@click.argument("stream", metavar="DEVICE/STREAM")
@broker_options
@click.option("--relay", metavar="URL", help="Account for the history that this relay keeps, not for what comes.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the relay's token.",
)
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), help="Follow for so many seconds.")
@click.option("--until-stopped", is_flag=True, help="Follow until the device says that it stopped.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    help="Seconds that what is missing at the end may still take to come.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    stream: str,
    settings: MqttSettings,
    relay: str | None,
    token_file: Path | None,
    duration: float | None,
    until_stopped: bool,
    settle: float,
    as_json: bool,
) -> None:
    """Follow a stream on the broker, ask the device for what is missing, and account for every frame.

    Without --duration or --until-stopped, follow until Ctrl-C. With --relay, account for the stream's history
    there, from its first frame to its last, and be done.
    """
    if relay is not None:
        _finish(_history(relay, stream, token_file), as_json, f"{relay} holds nothing of {stream}")
    stopping = stop_event()
    started = time.monotonic()
    deadline: float | None = None
    heard = 0
    follower = Follower(settings, stream)
    for audit in follower.follow():
        now = time.monotonic()
        over = duration is not None and now - started >= duration
        over = over or (until_stopped and bool(audit.epochs) and audit.stopped)
        if deadline is None and (over or stopping.is_set()):
            deadline, heard = now + settle, audit.messages
        if deadline is not None and (now >= deadline or _complete(audit, heard)):
            break
    _finish(follower.audit, as_json, f"nothing came of {stream} from {settings.address} below {settings.root!r}")


def _history(relay: str, stream: str, token_file: Path | None) -> Audit:
    audit = Audit(*split_stream_key(stream))
    token = token_file.read_text(encoding="utf-8").strip() if token_file is not None else None
    for message in read_history(relay, stream, token):
        audit.take(message)
    return audit


def _finish(audit: Audit, as_json: bool, nothing: str) -> NoReturn:
    _print(audit, as_json)
    if not audit.epochs:
        raise HeadwaterError(nothing)
    sys.exit(1 if audit.undeclared() else 0)


def _complete(audit: Audit, heard: int) -> bool:
    """Whether nothing is missing of what was there when the time was up, which the next message shows."""
    if not audit.epochs:
        return True
    return (audit.stopped or audit.messages > heard) and not audit.holes()


def _print(audit: Audit, as_json: bool) -> None:
    report = audit.report()
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for epoch, account in report["epochs"].items():
        click.echo(f"{report['stream']} epoch {epoch}")
        for name, value in _lines(account):
            click.echo(f"  {name:24}{value:>14}")


def _lines(account: dict[str, Any]) -> list[tuple[str, str]]:
    declared = [(f"declared lost: {reason}", f"{count:,}") for reason, count in account["lost"].items()]
    return [
        ("delivered", f"{account['delivered']:,}"),
        *declared,
        ("undeclared", f"{account['undeclared']:,}"),
        ("came twice", f"{account['duplicates']:,}"),
        ("came out of order", f"{account['out_of_order']:,}"),
        ("jumps in time", f"{account['time_jumps']:,}"),
        ("worst step in time", f"{account['worst_time_error_ms']:.3f} ms"),
    ]
