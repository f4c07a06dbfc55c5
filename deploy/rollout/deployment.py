"""One board from whatever it runs to what is wanted, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.board.headwater_update.errors import UpdateError
from deploy.board.headwater_update.signature import parse_keys
from deploy.rollout.choose import bring_along, choose
from deploy.rollout.errors import DeployError, RolledBack, Unreachable
from deploy.rollout.facts import PROBE, Facts, check, parse_facts
from deploy.rollout.files import Files, differing, gather, pack
from deploy.rollout.package import Deb, public_key
from deploy.rollout.remote import Remote
from deploy.rollout.ssh import Connection
from deploy.rollout.workshop import Workshop, compare

CONFIGURATIONS = {"gateway": "device.toml", "relay": "relay.toml"}

Say = Callable[[str, str], None]
"""Is told a step and its result."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a board is to become."""

    host: str
    role: str
    configuration: Path | None = None
    bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How it is done."""

    health_s: float = 60.0
    expect: str = "auto"
    allow_downgrade: bool = False
    without_fallback: bool = False
    replace_key: bool = False
    ssh: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What became of it."""

    host: str
    result: str = "failed"
    """updated, unchanged, rolled back, failed, unreachable"""
    before: str = "-"
    after: str = "-"
    why: str = ""
    seconds: float = 0.0
    steps: list[tuple[str, str]] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether the board is as wanted."""
        return self.result in ("updated", "unchanged")


def deploy(wish: Wish, workshop: Workshop, options: Options, say: Say) -> Outcome:
    """Do it; whatever happens is in the outcome."""
    outcome = Outcome(wish.host)
    began = time.monotonic()
    try:
        with _told(outcome, say), Connection(wish.host, options.ssh) as connection:
            Deployment(wish, workshop, options, connection, outcome, say).run()
    except UpdateError as error:
        outcome.why = str(error)
    outcome.seconds = time.monotonic() - began
    return outcome


class Deployment:
    """The steps, each of which is told with its result."""

    def __init__(
        self, wish: Wish, workshop: Workshop, options: Options, connection: Connection, outcome: Outcome, say: Say
    ) -> None:
        self._wish = wish
        self._workshop = workshop
        self._options = options
        self._connection = connection
        self._outcome = outcome
        self._say = say

    def run(self) -> None:
        """Raises DeployError; RolledBack if the board tried."""
        configuration = CONFIGURATIONS[self._wish.role]
        files = gather(configuration, self._wish.configuration, self._wish.bundle)
        facts = self._reach()
        remote = Remote(self._connection, facts)
        status = remote.make_ready()
        self._outcome.before = self._outcome.after = status["installed"] or "nothing"
        package = choose(self._workshop.debs, facts.architecture, facts.release, compare)
        changed = self._compare(status, package, files)
        if not changed:
            self._outcome.result = "unchanged"
            return
        if configuration not in {*files, *status["files"]}:
            raise DeployError(f"it has no {configuration}: give one, CONFIG={configuration}")
        replaces = (status["current"] or {}).get("sha256") != self._workshop.sha256(package)
        dependencies = (
            bring_along(package, remote.installed(), self._workshop.offered, compare) if replaces else ()
        )
        self._trust(remote, status)
        if replaces:
            self._keep_previous(remote, status, facts)
        number = remote.begin(self._wish.role)
        new = [name for name in changed if name in files]
        if new:
            remote.send_files(number, pack(files))
            self._say("configure", f"{', '.join(new)} for /etc/headwater")
        if replaces:
            update = self._workshop.update(package, dependencies, facts.release)
            remote.send_update(number, update, downgrade=self._options.allow_downgrade)
            more = "".join(f", {each.name}" for each in dependencies)
            self._say("copy", f"{package.path.name}{more}, {update.stat().st_size / 2**20:.1f} MiB, signed")
        self._apply(remote, number)

    def _reach(self) -> Facts:
        answer = self._connection.run(PROBE)
        facts = parse_facts(answer.out)
        self._say("reach", facts.line())
        check(facts)
        return facts

    def _compare(self, status: dict[str, Any], package: Deb, files: Files) -> list[str]:
        """What there is to change: names of files, and what is wanted of package and service."""
        if status["transaction"] and status["transaction"]["phase"] != "staging":
            raise DeployError("an update is under way there already: headwater-update status")
        changed = differing(files, status["files"])
        installed, current = status["installed"], status["current"] or {}
        unit = status["units"].get(f"headwater-{self._wish.role}.service", {})
        if installed != package.version or current.get("sha256") != self._workshop.sha256(package):
            changed.append(f"headwater {package.version}")
        elif unit.get("state") != "active" or not unit.get("enabled"):
            changed.append("the service")
        found = f"headwater {installed} is installed" if installed else "headwater is not installed yet"
        self._say(
            "compare", f"{found}; " + (f"to change: {', '.join(changed)}" if changed else "all is as wanted")
        )
        return changed

    def _trust(self, remote: Remote, status: dict[str, Any]) -> None:
        key = public_key(self._workshop.key)
        if set(parse_keys(key)) <= set(status["keys"]):
            return
        if status["keys"] and not self._options.replace_key:
            raise DeployError(
                f"it trusts updates by another key than {self._workshop.key}: give that one (KEY=file), "
                "or have this one replace it (ARGS=--replace-key)"
            )
        remote.enrol(key, replace=self._options.replace_key)
        self._say("trust", f"updates signed by {self._workshop.key}")

    def _keep_previous(self, remote: Remote, status: dict[str, Any], facts: Facts) -> None:
        """A version that was installed by hand is fallen back to only if its package is there."""
        installed, current = status["installed"], status["current"] or {}
        if not installed or current.get("version") == installed or self._options.without_fallback:
            return
        fitting = [
            deb
            for deb in self._workshop.debs
            if (deb.version, deb.architecture) == (installed, facts.architecture) and deb.name == "headwater"
        ]
        if not fitting:
            raise DeployError(
                f"{installed} is installed there and its package is not kept, so nothing is to fall back to: "
                "put its .deb beside the new one, or do without (ARGS=--without-fallback)"
            )
        remote.keep(fitting[0].path)
        self._say("keep", f"{fitting[0].path.name}, to fall back to")

    def _apply(self, remote: Remote, number: str) -> None:
        options = f"--health-timeout {self._options.health_s:g} --expect {self._options.expect}"
        if self._options.without_fallback:
            options += " --without-fallback"
        if not remote.apply(number, options):
            self._outcome.result = "unchanged"
            return
        result = remote.follow(number, self._options.health_s, lambda text: self._say("board", text))
        for advice in result.get("advice", ()):
            self._say("doctor", advice)
        self._outcome.after = remote.status()["installed"] or "nothing"
        if result["outcome"] != "confirmed":
            raise RolledBack(result["reason"])
        self._outcome.result = "updated"


@contextmanager
def _told(outcome: Outcome, say: Say) -> Iterator[None]:
    """Name the kind of failure, and tell the end."""
    try:
        yield
    except RolledBack as error:
        outcome.result = "rolled back"
        say("rolled back", str(error))
        raise
    except Unreachable as error:
        outcome.result = "unreachable"
        say("unreachable", str(error))
        raise
    except UpdateError as error:
        say("failed", str(error))
        raise
    moved = f"{outcome.before} → " if outcome.before != outcome.after else ""
    say(outcome.result, f"{moved}{outcome.after}")
