"""`make update`: the signed update of each package, to be carried to boards by hand.

headwater-update install headwater_0.2.0+deb12_armhf.update          on the board
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.board.headwater_update.errors import UpdateError
from deploy.board.headwater_update.manifest import PACKAGE
from deploy.rollout.__main__ import KEY, PACKAGES, PATH
from deploy.rollout.choose import release_of
from deploy.rollout.package import make_key, make_update, public_key, read_deb


@click.command()
@click.argument("packages", type=PATH, nargs=-1)
@click.option("--release", help="The release of Debian, where the version does not say it: 12.")
@click.option("--debs", type=PATH, multiple=True, help="Debian's packages to put into it as well.")
@click.option("--key", type=PATH, default=KEY, help="What signs it; made at first.", show_default=True)
def main(packages: tuple[Path, ...], release: str | None, debs: tuple[Path, ...], key: Path) -> None:
    """Sign PACKAGES, or those in dist/, each as an update beside it."""
    try:
        if make_key(key):
            click.echo(f"made a key to sign updates with, {key}: keep it, the boards trust no other")
        for path in packages or sorted(PACKAGES.glob(f"{PACKAGE}_*.deb")):
            deb = read_deb(path)
            wanted = release or release_of(deb)
            if wanted is None:
                raise UpdateError(f"{path}: does not say which release of Debian it is for: --release 12")
            update = make_update(deb, [read_deb(each) for each in debs], wanted, key, path.with_suffix(".update"))
            click.echo(f"{update}: {deb.version} for {deb.architecture} with Debian {wanted}")
        click.echo(f"boards trust it once they have {public_key(key)} in /etc/headwater/update.pub")
    except UpdateError as error:
        click.echo(f"update: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
