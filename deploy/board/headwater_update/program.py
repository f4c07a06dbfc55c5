"""`headwater-update`: the commands."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import configuration, packages, stage, units
from .board import Board
from .driver import Driver
from .errors import Refused, UpdateError
from .signature import KEYS, parse_keys
from .store import Store
from .transaction import Transaction

PROTOCOL = 1
"""Larger when a deployment has to talk to this program in another way."""
FOLLOW_S = 0.5
WAIT_S = 20.0
"""Longer than that a deployment is not left without an answer."""
EPILOG = """\
examples:
  headwater-update install headwater_0.2.0_armhf.update   check, install, wait for health; keep it or roll back
  headwater-update status                                 what is installed, and how the last update ended
  headwater-update roll-back                              the version before
  headwater-update keep headwater_0.1.0_armhf.deb         keep the installed version's package to fall back to
  headwater-update enrol < key.pub                        trust the updates that this key signs

exit codes: 0 done, 1 rolled back, 2 refused: nothing was changed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        return _refuse("only root may do that: use sudo")
    os.umask(0o022)
    try:
        code: int = options.run(Store(), options)
        return code
    except UpdateError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename or 'the system'}: {error.strerror}")


def status(store: Store, options: argparse.Namespace) -> int:
    """What there is to say."""
    store.make()
    about = _status(store)
    if options.json:
        print(json.dumps(about))
        return 0
    print(f"installed  {about['installed'] or 'nothing'} on Debian {about['release']} ({about['architecture']})")
    print(f"fall-back  {about['current']['version'] if about['current'] else 'none: its package is not kept'}")
    print(f"earlier    {about['earlier']['version'] if about['earlier'] else 'none'}")
    for unit, state in about["units"].items():
        print(f"service    {unit} is {state['state']}{': ' if state['status'] else ''}{state['status']}")
    last = about["last"]
    print(f"last       {ending(last) if last else 'no update yet'}")
    if about["transaction"]:
        print(f"under way  {about['transaction']['phase']}")
    return 0


def begin(store: Store, options: argparse.Namespace) -> int:
    """Open a transaction for what is to be received."""
    with store.locked():
        print(stage.begin(store, _wanted(options)).id)
    return 0


def receive(store: Store, options: argparse.Namespace) -> int:
    """Take an update, or files of the configuration, from standard input."""
    with store.locked():
        staging = _staging(store, options.id)
        if options.files:
            stage.receive_files(store, staging, sys.stdin.buffer)
        else:
            stage.receive_update(store, staging, sys.stdin.buffer, downgrade=options.allow_downgrade)
    return 0


def apply(store: Store, options: argparse.Namespace) -> int:
    """Begin the work on what was received."""
    with store.locked():
        begun = _apply(store, _staging(store, options.id), options)
    print("working" if begun else "unchanged")
    return 0


def install(store: Store, options: argparse.Namespace) -> int:
    """All of it, from a file on the board."""
    with store.locked():
        staging = stage.begin(store, _wanted(options))
        with options.update.open("rb") as source:
            staging = stage.receive_update(store, staging, source, downgrade=options.allow_downgrade)
        begun = _apply(store, staging, options)
    if not begun:
        print("this version is installed, and runs: nothing to do")
        return 0
    return _follow(store, begun)


def wait(store: Store, options: argparse.Namespace) -> int:
    """Tell the phase when it is another one than that which is known, or after a while."""
    deadline = time.monotonic() + WAIT_S
    while True:
        transaction, last = store.transaction(), store.result()
        phase = transaction.phase if transaction and transaction.id == options.id else ""
        done = last if last.get("id") == options.id else None
        if done or phase != options.phase or time.monotonic() > deadline:
            print(json.dumps({"phase": phase, "done": done}))
            return 0
        time.sleep(FOLLOW_S)


def roll_back(store: Store, options: argparse.Namespace) -> int:
    """The version before, as an update of its own that falls back to this one."""
    with store.locked():
        staging = stage.begin(store, _wanted(options))
        begun = _apply(store, stage.stage_earlier(store, staging, files=options.configuration), options)
    return _follow(store, begun) if begun else 0


def keep(store: Store, options: argparse.Namespace) -> int:
    """Keep the package of the installed version."""
    with store.locked():
        print(f"kept: {stage.keep(store, options.package).version}")
    return 0


def enrol(store: Store, options: argparse.Namespace) -> int:
    """Trust a key."""
    new = stage.enrol(sys.stdin.read(), replaced=options.replace)
    print("enrolled" if new else "known")
    return 0


def count(store: Store, options: argparse.Namespace) -> int:
    """Count a start of the work, before anything else of Headwater starts."""
    with store.locked(wait=True):
        transaction = store.transaction()
        if transaction is not None:
            store.save(transaction.began())
    return 0


def work(store: Store, options: argparse.Namespace) -> int:
    """Do the work of the transaction, or go on with it."""
    with store.locked(wait=True):
        transaction = store.transaction()
        resumed = transaction is not None and (transaction.attempts > 1 or transaction.phase != "installing")
        Driver(store, Board(store), lambda text: print(text, flush=True)).run(resumed)
    return 0


def _status(store: Store) -> dict[str, Any]:
    transaction, current, earlier = store.transaction(), store.current(), store.earlier()
    known = [unit for unit in units.UNITS if units.exists(unit)]
    looks = {unit: units.look(unit) for unit in known}
    return {
        "protocol": PROTOCOL,
        "architecture": packages.architecture(),
        "release": stage.release()[0],
        "installed": packages.installed_version(),
        "current": asdict(current) if current else None,
        "earlier": asdict(earlier) if earlier else None,
        "keys": parse_keys(KEYS.read_text()) if KEYS.is_file() else [],
        "files": configuration.digests(),
        "units": {
            unit: {"state": look.state, "enabled": units.enabled(unit), "status": look.status}
            for unit, look in looks.items()
        },
        "transaction": transaction.to_json() if transaction else None,
        "last": store.result() or None,
    }


def _apply(store: Store, staging: Transaction, options: argparse.Namespace) -> Transaction | None:
    frames = {"auto": None, "frames": True, "ready": False}[options.expect]
    return stage.apply(
        store, staging, health_s=options.health_timeout, frames=frames, fallback=not options.without_fallback
    )


def _follow(store: Store, begun: Transaction) -> int:
    phase = ""
    while (result := store.result()).get("id") != begun.id:
        transaction = store.transaction()
        if units.look(units.RESUME.name).state == "failed":
            raise UpdateError(f"the update did not come to an end{units.last_lines(units.RESUME.name)}")
        if transaction and transaction.phase != phase:
            phase = transaction.phase
            print(f"{phase} …", flush=True)
        time.sleep(FOLLOW_S)
    print(ending(result))
    return 0 if result["outcome"] == "confirmed" else 1


def ending(result: dict[str, Any]) -> str:
    """How a transaction ended, in one line."""
    return f"{result['outcome']}{': ' if result['reason'] else ''}{result['reason']}"


def _staging(store: Store, number: str) -> Transaction:
    transaction = store.transaction()
    if transaction is None or transaction.id != number or transaction.phase != "staging":
        raise Refused("somebody else has begun to update this board meanwhile: headwater-update status")
    return transaction


def _wanted(options: argparse.Namespace) -> tuple[str, ...]:
    return {"gateway": (units.GATEWAY,), "relay": (units.RELAY,), None: ()}[options.role]


def _refuse(why: str) -> int:
    print(f"headwater-update: {why}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headwater-update",
        description="Update Headwater on this board, and roll back by itself if the new version does not do.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    command("status", status, "what is installed, and how the last update ended").add_argument(
        "--json", action="store_true", help="print JSON"
    )
    made = command("install", install, "install an update, and keep it or roll back")
    made.add_argument("update", type=Path)
    _add_downgrade(made)
    _add_health(made)
    _add_role(made)
    made = command("roll-back", roll_back, "go back to the version before")
    made.add_argument(
        "--configuration", action="store_true", help="to the configuration before the last change, too"
    )
    _add_health(made)
    _add_role(made)
    made = command("keep", keep, "keep the installed version's package, to fall back to it")
    made.add_argument("package", type=Path)
    made = command("enrol", enrol, "trust the key on standard input")
    made.add_argument("--replace", action="store_true", help="in place of the keys that are trusted now")
    _add_role(command("begin", begin, "for make deploy: open a transaction"))
    made = command("receive", receive, "for make deploy: take in an update, or files of the configuration")
    made.add_argument("id")
    made.add_argument("--files", action="store_true")
    _add_downgrade(made)
    made = command("apply", apply, "for make deploy: begin the work on what was received")
    made.add_argument("id")
    _add_health(made)
    made = command("wait", wait, "for make deploy: wait for another phase than this one")
    made.add_argument("id")
    made.add_argument("phase")
    command("count", count, "for systemd: count a start of the work")
    command("work", work, "for systemd: do the work, or go on with it")
    return parser


def _add_downgrade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-downgrade", action="store_true", help="take an older version, too")


def _add_role(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--role", choices=("gateway", "relay"), help="the service that is to run, if it does not yet"
    )


def _add_health(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--health-timeout", type=float, default=60.0, metavar="S", help="seconds until it is rolled back"
    )
    parser.add_argument(
        "--expect",
        choices=("auto", "frames", "ready"),
        default="auto",
        help="what healthy is: acquiring frames, or being ready; auto: frames if it did before or did not run",
    )
    parser.add_argument("--without-fallback", action="store_true", help="even if the package before is not kept")
