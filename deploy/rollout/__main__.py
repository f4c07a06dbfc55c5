"""`make deploy` and `make deploy-relay`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import click

from deploy.board.headwater_update.errors import UpdateError
from deploy.rollout.deployment import Options, Outcome, Wish, deploy
from deploy.rollout.errors import DeployError
from deploy.rollout.fleet import deploy_all, parse_hosts, summary
from deploy.rollout.package import make_key
from deploy.rollout.workshop import Workshop

KEY = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "headwater" / "update-key"
PACKAGES = Path("dist")
PATH = click.Path(path_type=Path)


@click.command(
    epilog="""\b
Examples:
  make deploy HOST=debian@192.168.7.2 CONFIG=device.toml
  make deploy HOST=debian@bbb1 BUNDLE=provisioned/bbb1
  make deploy HOSTS=boards.txt ARGS="--jobs 4 --first"
  make deploy-relay HOST=pi@relay CONFIG=relay.toml

\b
HOSTS is a file with a line for each board: host [configuration [bundle]]
Exit codes: 0 all boards are as wanted, 1 some are not, 2 nothing was tried."""
)
@click.option("--role", type=click.Choice(["gateway", "relay"]), default="gateway")
@click.option("--host", default="", help="user@board, or a name of your ssh_config.")
@click.option("--hosts", type=PATH, help="A file with many.")
@click.option("--config", type=PATH, help="The configuration: device.toml or relay.toml.")
@click.option("--bundle", type=PATH, help="A folder that headwater provision made for the board.")
@click.option(
    "--packages", type=PATH, multiple=True, help=f"Packages of headwater, or folders; {PACKAGES} if none."
)
@click.option("--debs", type=PATH, multiple=True, help="Debian's packages that boards may lack, or folders.")
@click.option("--key", type=PATH, default=KEY, help="What signs updates; made at first.", show_default=True)
@click.option("--health-timeout", type=float, default=60.0, help="Seconds until it is rolled back.")
@click.option("--expect", type=click.Choice(["auto", "frames", "ready"]), default="auto", help="What healthy is.")
@click.option("--allow-downgrade", is_flag=True, help="Install an older version, too.")
@click.option("--without-fallback", is_flag=True, help="Even with nothing to roll back to.")
@click.option("--replace-key", is_flag=True, help="Have the board trust this key alone.")
@click.option("--jobs", type=click.IntRange(1, 64), default=8, help="Boards at a time.", show_default=True)
@click.option("--first", is_flag=True, help="The first board alone, the others if it goes well.")
@click.option("--ssh-config", type=PATH, help="Instead of your own.")
def main(
    role: str,
    host: str,
    hosts: Path | None,
    config: Path | None,
    bundle: Path | None,
    packages: tuple[Path, ...],
    debs: tuple[Path, ...],
    key: Path,
    jobs: int,
    first: bool,
    ssh_config: Path | None,
    health_timeout: float,
    expect: str,
    allow_downgrade: bool,
    without_fallback: bool,
    replace_key: bool,
) -> None:
    """Bring Headwater to boards over ssh. Each keeps the new version only if it is healthy."""
    options = Options(
        health_s=health_timeout,
        expect=expect,
        allow_downgrade=allow_downgrade,
        without_fallback=without_fallback,
        replace_key=replace_key,
        ssh=("-F", str(ssh_config)) if ssh_config else (),
    )
    try:
        wishes = _wishes(Wish(host, role, config, bundle), hosts)
        if make_key(key):
            click.echo(f"made a key to sign updates with, {key}: keep it, the boards trust no other")
        with tempfile.TemporaryDirectory(prefix="headwater-deploy-") as folder:
            workshop = Workshop(packages or [PACKAGES], debs, key, Path(folder))
            outcomes = deploy_all(wishes, _deploying(workshop, options, wishes), jobs, first)
    except UpdateError as error:
        click.echo(f"deploy: {error}", err=True)
        sys.exit(2)
    if len(wishes) > 1:
        click.echo("\n" + "\n".join(summary(outcomes)))
    sys.exit(0 if all(outcome.well for outcome in outcomes) else 1)


def _deploying(workshop: Workshop, options: Options, wishes: list[Wish]) -> Callable[[Wish], Outcome]:
    lock = Lock()
    width = max(len(wish.host) for wish in wishes)

    def one(wish: Wish) -> Outcome:
        def say(step: str, result: str) -> None:
            with lock:
                click.echo(f"{wish.host:<{width}}  {step:<11}  {result}")

        return deploy(wish, workshop, options, say)

    return one


def _wishes(wish: Wish, hosts: Path | None) -> list[Wish]:
    if bool(wish.host) == bool(hosts):
        raise DeployError("which board? make deploy HOST=debian@192.168.7.2, or HOSTS=file with one a line")
    if hosts is None:
        return [wish]
    try:
        text = hosts.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DeployError(f"{hosts}: cannot be read: {error}") from None
    return parse_hosts(text, hosts.parent, wish.role, wish.configuration, str(hosts))


if __name__ == "__main__":
    main()
