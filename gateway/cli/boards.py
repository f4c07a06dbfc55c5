"""`headwater boards`: what can be sampled here."""

from __future__ import annotations

import json

import click

from boards.registry import survey


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the boards, and for each one whether it can be used on this machine, or why not."""
    found = survey()
    if as_json:
        click.echo(
            json.dumps([{"name": b.name, "summary": b.summary, "unavailable": b.unavailable} for b in found])
        )
        return
    width = max(len(board.name) for board in found)
    for board in found:
        click.echo(f"{board.name:{width}}  {board.summary}")
        click.echo(f"{'':{width}}  {'not available: ' + board.unavailable if board.unavailable else 'available'}")
