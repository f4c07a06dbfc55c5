"""`headwater provision`: who may connect to the broker, and as whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.errors import ConfigError
from gateway.provision.names import check_client, check_host, check_reading, check_root
from gateway.provision.register import AUTHORITY_LIFETIME, BROKER, LIFETIME, Broker, Client, Role
from gateway.provision.settings import CRL, LOOPBACK, check_folder
from gateway.quantities import parse_duration

if TYPE_CHECKING:
    from gateway.provision.folder import Folder

Function = TypeVar("Function", bound=Callable[..., Any])

NEXT = "The broker does not know yet: 'headwater provision install' on its machine, and what that says"


@click.group(
    epilog="""\b
Examples:
  headwater provision init pki --broker broker.lan --broker 192.168.7.1
  cd pki
  headwater provision device bbb1 bbb2
  headwater provision relay relay1
  headwater provision reader anna --stream 'bbb1/*'
  sudo headwater provision install
  headwater provision list"""
)
def command() -> None:
    """Make a private authority, certificates for the broker and its clients, and mosquitto's access list.

    A device may write under its own name only, a relay may read everything, a reader the streams it is given.
    """


def _duration(_: click.Context, __: click.Parameter, value: str) -> timedelta:
    try:
        return timedelta(seconds=min(parse_duration(value), AUTHORITY_LIFETIME.total_seconds()))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


dir_option = click.option(
    "--dir",
    "path",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    envvar="HEADWATER_PROVISION_DIR",
    show_default="the current one",
    help="The folder that init made.",
)
for_option = click.option(
    "--for",
    "lifetime",
    default=f"{LIFETIME.days}d",
    show_default=True,
    callback=_duration,
    help="How long the certificate is good.",
)
names_argument = click.argument("names", metavar="NAME...", nargs=-1, required=True)


def client_options(function: Function) -> Function:
    """What all clients have in common."""
    at = click.option("--at", help="The folder in which its files will be; mqtt.toml names it.")
    host = click.option("--broker", "host", help="Which of the broker's names it uses; the first if not given.")
    force = click.option("--force", is_flag=True, help="Make a new key and certificate also if there are some.")
    return names_argument(dir_option(at(host(for_option(force(function))))))


@command.command()
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--broker", "hosts", multiple=True, required=True, help="Its name or address; may be repeated.")
@click.option("--root", default="headwater", show_default=True, help="The root of the topic tree.")
@click.option("--port", type=click.IntRange(1, 65535), default=8883, show_default=True)
@click.option("--bind", help="The address to listen on; all if not given.")
@click.option(
    "--at", default="/etc/mosquitto/headwater", show_default=True, help="Where the broker reads its files."
)
@click.option(
    "--plain",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Also listen on 127.0.0.1 without TLS: every program there may read all, and ask for what is missing.",
)
@click.option(
    "--one-connection",
    is_flag=True,
    help="One connection for each certificate, which nobody else can end by taking its client id.",
)
@for_option
def init(
    path: Path,
    hosts: tuple[str, ...],
    root: str,
    port: int,
    bind: str | None,
    at: str,
    plain: int | None,
    one_connection: bool,
    lifetime: timedelta,
) -> None:
    """Make the folder DIR: a new authority, and the broker's certificate and configuration."""
    if plain == port:
        raise click.BadParameter("must be another port than --port", param_hint="--plain")
    if not Path(at).is_absolute():
        raise click.BadParameter("must be an absolute path", param_hint="--at")
    broker = Broker(
        hosts=tuple(dict.fromkeys(map(check_host, hosts))),
        port=port,
        bind=check_host(bind) if bind else None,
        folder=check_folder(at),
        plain_port=plain,
        one_connection=one_connection,
    )
    folder = _folder_class().make(path, check_root(root), broker, _now(), lifetime)
    click.echo(f"{path}: an authority until {folder.signer.ends:%Y-%m-%d}; keep it where nobody else gets at it")
    _tell(folder, BROKER, folder.broker_folder)


@command.command()
@client_options
def device(names: tuple[str, ...], at: str | None, **options: Any) -> None:
    """Let devices in: each may write under its own name only, and read what it is asked."""
    _add("device", names, at or "/etc/headwater/device", **options)


@command.command()
@client_options
def relay(names: tuple[str, ...], at: str | None, **options: Any) -> None:
    """Let relays in: they may read everything, and write requests to devices."""
    _add("relay", names, at or "/etc/headwater/relay", **options)


@command.command()
@click.option(
    "--stream",
    "streams",
    multiple=True,
    default=["*/*"],
    metavar="DEVICE/STREAM",
    help="What it may read, '*' for any device or stream; may be repeated. Everything if not given.",
)
@client_options
def reader(names: tuple[str, ...], at: str | None, streams: tuple[str, ...], **options: Any) -> None:
    """Let readers in: they may read their streams, and ask for what is missing of them."""
    _add("reader", names, at, streams=tuple(map(check_reading, streams)), **options)


def _add(
    role: Role,
    names: Sequence[str],
    at: str | None,
    *,
    path: Path,
    host: str | None,
    lifetime: timedelta,
    force: bool,
    streams: tuple[str, ...] = (),
) -> None:
    names = [check_client(name) for name in dict.fromkeys(names)]
    with _opened(path) as folder:
        hosts = folder.register.broker.hosts
        if host is not None and check_host(host) not in (*hosts, *LOOPBACK):
            raise ConfigError(f"--broker {host!r:.100}: the broker's certificate is for {', '.join(hosts)}")
        for name in names:
            folder.check_free(name, role, replace=force)
        for name in names:
            client = Client(
                role=role,
                host=check_host(host) if host else hosts[0],
                at=check_folder(at or str((path / f"{role}s" / name).absolute())),
                streams=streams,
            )
            _tell(folder, name, folder.add(name, client, _now(), lifetime))
    click.echo(NEXT)


@command.command()
@click.argument("names", metavar="[NAME...]", nargs=-1)
@dir_option
@click.option(
    "--within",
    default="90d",
    show_default=True,
    callback=_duration,
    help="Without NAME: whose certificate ends so soon.",
)
@click.option("--new-key", is_flag=True, help="For a new key; otherwise the old one stays, and no secret travels.")
@for_option
def renew(names: tuple[str, ...], path: Path, within: timedelta, new_key: bool, lifetime: timedelta) -> None:
    """Make certificates of the same names that end later. Until they end, the old ones stay good.

    Without NAME: for everybody whose certificate ends soon, the broker too.
    """
    until = _now() + within
    with _opened(path) as folder:
        for name in names:
            folder.check_known(name)
        due = list(dict.fromkeys(names)) or folder.register.due(until)
        for name in due:
            _tell(folder, name, folder.renew(name, _now(), lifetime, new_key_too=new_key))
    if not due:
        click.echo(f"No certificate ends before {until:%Y-%m-%d}")
    if set(due) - {BROKER}:
        click.echo("Copy cert.pem to where its client reads it; until then, the old one is used")
    if BROKER in due:
        click.echo(NEXT)


@command.command()
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@dir_option
@for_option
def broker(hosts: tuple[str, ...], path: Path, lifetime: timedelta) -> None:
    """Make the broker's certificate anew, for these names and addresses alone."""
    new_hosts = tuple(dict.fromkeys(map(check_host, hosts)))
    with _opened(path) as folder:
        moved = folder.register.broker.model_copy(update={"hosts": new_hosts})
        _tell(folder, BROKER, folder.move_broker(moved, _now(), lifetime))
        for name, client in folder.register.clients.items():
            if client.host not in (*new_hosts, *LOOPBACK):
                click.echo(f"{name}: still asks for {client.host}: change its mqtt.url")
    click.echo(NEXT)


@command.command()
@names_argument
@dir_option
def revoke(names: tuple[str, ...], path: Path) -> None:
    """Take clients their rights, put their certificates onto the broker's list, and remove their files here."""
    with _opened(path) as folder:
        for name in names:
            folder.check_known(name)
        for name in dict.fromkeys(names):
            click.echo(f"{name}: {folder.revoke(name, _now())} certificate(s) revoked")
    click.echo(NEXT)


@command.command("list")
@dir_option
@click.option("--all", "everything", is_flag=True, help="Also certificates that were replaced or revoked.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(path: Path, everything: bool, as_json: bool) -> None:
    """Say who has a certificate, which, and until when."""
    with _opened(path) as folder:
        from gateway.provision.check import rows

        found = list(rows(folder, _now(), everything=everything))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{'name':20} {'role':8} {'ends':10}  {'state':20} serial")
    for row in found:
        click.echo(
            f"{row['name'] or '-':20} {row['role']:8} {row['ends'][:10]}  {row['state']:20} {row['serial']}"
        )


@command.command()
@dir_option
@click.pass_context
def check(context: click.Context, path: Path) -> None:
    """Look for certificates that end soon, for files that others can read, and for what does not fit together.

    The exit code is 1 if something must be done.
    """
    with _opened(path) as folder:
        from gateway.provision.check import problems

        found = list(problems(folder, _now()))
    for line in found or [f"{path}: all is well"]:
        click.echo(line)
    context.exit(1 if found else 0)


@command.command()
@dir_option
@click.option(
    "--conf",
    type=click.Path(path_type=Path, dir_okay=False),
    default="/etc/mosquitto/conf.d/headwater.conf",
    show_default=True,
    help="Where mosquitto looks for its configuration.",
)
@click.option("--owner", default="mosquitto", show_default=True, help="The user that mosquitto runs as.")
def install(path: Path, conf: Path, owner: str) -> None:
    """Copy what the broker needs to where mosquitto reads it (init --at); on the broker's machine, as root."""
    from gateway.provision.install import RESTART
    from gateway.provision.install import install as copy

    with _opened(path) as folder:
        target = Path(folder.register.broker.folder)
        changed = copy(folder.broker_folder, target, conf, owner)
    click.echo(f"{target}: {', '.join(sorted(changed)) or 'nothing'} changed")
    if changed & RESTART:
        click.echo("Now: systemctl restart mosquitto")
    elif CRL in changed:
        click.echo(
            "Now: systemctl reload mosquitto takes the revoked their rights; restart in place of reload also ends "
            "their connections"
        )
    elif changed:
        click.echo("Now: systemctl reload mosquitto")


@contextmanager
def _opened(path: Path) -> Iterator[Folder]:
    with _folder_class().open(path) as folder:
        yield folder


def _folder_class() -> type[Folder]:
    try:
        from gateway.provision.folder import Folder
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        raise ConfigError("provision: cryptography is not installed; pip install 'headwater[keys]'") from None
    return Folder


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(folder: Folder, name: str, place: Path) -> None:
    newest = folder.register.newest(name)
    assert newest is not None
    held = sorted(file.name for file in place.iterdir())
    click.echo(f"{place}: {', '.join(held)}; good until {newest.ends:%Y-%m-%d}")
