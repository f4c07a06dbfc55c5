"""`headwater doctor`: what is right with this machine, and what to do about the rest."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli.common import set_option
from gateway.config import DeviceConfig, RelayConfig, load
from gateway.doctor import Finding, Machine, examine_device, examine_machine, examine_relay

DEVICE_TABLES = {"device", "board", "stream", "outbox"}
"""Tables that only a device's configuration has."""


@click.command(
    epilog="""\b
Examples:
  headwater doctor                      this machine, whatever it is for
  headwater doctor device.toml          and what `headwater run device.toml` needs
  headwater doctor --json relay.toml    the same of a relay, as a list of {check, ok, found, todo}"""
)
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check this machine for CONFIG (TOML), the configuration of a device or of a relay.

    One line for each check: ok, or what to do. Nothing is changed, and nothing that runs is disturbed. The exit
    code is 0 if all is well, 1 if something must be done, 2 if the configuration cannot be used.
    """
    ok, rows = True, []
    for finding in _examine(config, overrides):
        ok = ok and finding.ok
        rows.append(finding.as_dict())
        if not as_json:
            verdict = click.style("ok   ", fg="green") if finding.ok else click.style("to do", fg="red", bold=True)
            click.echo(f"{verdict}  {finding.line()}")
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    context.exit(0 if ok else 1)


def _examine(path: Path | None, overrides: tuple[str, ...]) -> Iterator[Finding]:
    machine = Machine()
    if path is None:
        return examine_machine(machine)
    if _is_device(path):
        return examine_device(load(DeviceConfig, path, overrides), machine)
    return examine_relay(load(RelayConfig, path, overrides), machine)


def _is_device(path: Path) -> bool:
    """Whether the file is a device's; one that cannot be read is told of when it is loaded."""
    try:
        return bool(DEVICE_TABLES & tomllib.loads(path.read_text(encoding="utf-8")).keys())
    except (OSError, ValueError):
        return True
