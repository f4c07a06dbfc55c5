"""`headwater token`: make tokens for the relay."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

from gateway.quantities import parse_duration
from gateway.relay.auth import check_pattern, make_token, read_secret


@click.command(
    epilog="""\b
Examples:
  openssl rand -base64 48 > secret; chmod 600 secret
  headwater token --secret-file secret 'bbb1/*'
  headwater token --secret-file secret --for 12h --subject ward3 'bbb1/ecg' 'bbb2/ecg'
  headwater token --secret-file secret --admin '*/*'
  headwater token --secret-file secret --link http://relay.lan:8080 '*/*'"""
)
@click.argument("streams", metavar="PATTERN...", nargs=-1, required=True)
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file that auth.secret_file of the relay names.",
)
@click.option("--for", "lifetime", default="30d", show_default=True, help="How long it holds, such as 12h or 30d.")
@click.option("--subject", default="", help="For whom it is; only for your records.")
@click.option("--admin", is_flag=True, help="It may also see who reads, and the relay's figures.")
@click.option("--link", metavar="URL", help="Print a link to the relay's page that signs in by itself.")
def command(
    streams: tuple[str, ...], secret_file: Path, lifetime: str, subject: str, admin: bool, link: str | None
) -> None:
    """Print a token that may read the streams whose device/stream match a PATTERN; '*' stands for any part."""
    for pattern in streams:
        try:
            check_pattern(pattern)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="PATTERN") from None
    try:
        lifetime_s = parse_duration(lifetime)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    if link is not None and urlsplit(link).scheme not in ("http", "https"):
        raise click.BadParameter(
            f"{link!r:.100}: must be the relay's address, http://… or https://…", param_hint="--link"
        )
    token = make_token(read_secret(secret_file), streams, lifetime_s, subject=subject, admin=admin)
    click.echo(token if link is None else f"{link.rstrip('/')}/#token={token}")
