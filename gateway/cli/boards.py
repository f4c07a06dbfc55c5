"""`headwater boards`: what can be sampled here."""

from __future__ import annotations

import json

import click

from boards.registry import BoardEntry, list_boards


@click.command(
    epilog="""\b
Examples:
  headwater boards
  headwater boards --json"""
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the boards, and for each one whether it can be used on this machine, or why not."""
    entries = list_boards()
    if as_json:
        click.echo(json.dumps([_row(entry) for entry in entries], indent=2))
        return
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        click.echo(f"{entry.name:{width}}  {entry.board.summary if entry.board else entry.origin}")
        click.echo(f"{'':{width}}  {'not available: ' + entry.unavailable if entry.unavailable else 'available'}")


def _row(entry: BoardEntry) -> dict[str, str | bool | None]:
    return {
        "name": entry.name,
        "origin": entry.origin,
        "summary": entry.board.summary if entry.board else None,
        "available": entry.unavailable is None,
        "reason": entry.unavailable,
    }
