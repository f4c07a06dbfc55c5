"""`headwater-update` on a board, as this side calls it."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.board.headwater_update.depends import QUERY, Installed, parse_installed
from deploy.board.headwater_update.program import PROTOCOL
from deploy.rollout.errors import DeployError, Unreachable
from deploy.rollout.facts import Facts
from deploy.rollout.ssh import Answer, Connection
from deploy.rollout.updater import build_updater

SENT = "/var/lib/headwater-update/sent"
TRANSFER_S = 1800.0
RETRY_S = 5.0
PATIENCE_S = 900.0
"""How long the board may be silent or busy beyond the wait for health: dpkg on a slow card, a reboot."""


class Remote:
    """The board's end of a deployment."""

    def __init__(self, connection: Connection, facts: Facts) -> None:
        self._connection = connection
        self._sudo = "" if facts.root == "yes" else "sudo -n "
        self._program = facts.updater

    def make_ready(self) -> dict[str, Any]:
        """Its status; brings this side's headwater-update first if the board has none that understands us."""
        if self._program:
            answer = self._call("status --json")
            status = _json(answer.out)
            if status.get("protocol") == PROTOCOL:
                return status
        folder = SENT.rpartition("/")[0]
        script = f"mkdir -p -m 700 {folder} && cat > {SENT} && chmod 700 {SENT}"
        self._need(self._connection.run(f"{self._sudo}sh -c {shlex.quote(script)}", build_updater()))
        self._program = SENT
        return self.status()

    def status(self) -> dict[str, Any]:
        """What `headwater-update status --json` says."""
        return _json(self._need(self._call("status --json")).out)

    def installed(self) -> Installed:
        """All packages of the board."""
        return parse_installed(
            self._need(self._connection.run(f"dpkg-query --show --showformat='{QUERY}'")).out.splitlines()
        )

    def enrol(self, key: str, *, replace: bool) -> None:
        """Have the board trust the key."""
        self._need(self._call("enrol --replace" if replace else "enrol", key.encode()))

    def keep(self, package: Path) -> None:
        """Give it the package of the version that it runs, to fall back to."""
        there = f"{SENT}.deb"
        with package.open("rb") as source:
            copied = self._connection.run(f"{self._sudo}sh -c {shlex.quote(f'cat > {there}')}", source, TRANSFER_S)
        self._need(copied)
        answer = self._call(f"keep {there}")
        self._connection.run(f"{self._sudo}rm -f {there}")
        self._need(answer)

    def begin(self, role: str) -> str:
        """Open a transaction; its id."""
        return self._need(self._call(f"begin --role {role}")).out.strip()

    def send_files(self, number: str, packed: bytes) -> None:
        """Bring the configuration."""
        self._need(self._call(f"receive {number} --files", packed))

    def send_update(self, number: str, update: Path, *, downgrade: bool) -> None:
        """Bring the package."""
        with update.open("rb") as source:
            command = f"{self._sudo}{self._python} receive {number}{' --allow-downgrade' if downgrade else ''}"
            self._need(self._connection.run(command, source, TRANSFER_S))

    def apply(self, number: str, options: str) -> bool:
        """Begin the work; whether there is any."""
        return self._need(self._call(f"apply {number} {options}")).out.strip() == "working"

    def follow(self, number: str, health_s: float, say: Callable[[str], None]) -> dict[str, Any]:
        """Wait for the board's decision, over any loss of the connection; raises Unreachable at last."""
        deadline = time.monotonic() + 2 * health_s + PATIENCE_S
        phase = ""
        while time.monotonic() < deadline:
            try:
                news = _json(self._need(self._call(f"wait {number} '{phase}'")).out)
            except Unreachable as error:
                say(f"the connection is lost ({error}); the board goes on by itself")
                time.sleep(RETRY_S)
                continue
            if news.get("done"):
                return dict(news["done"])
            if not news.get("phase"):
                raise DeployError("the board does not know of this deployment any more: headwater-update status")
            if news["phase"] != phase:
                phase = news["phase"]
                say(f"{phase} …")
        raise Unreachable("the board did not tell how it ended; it decides by itself: headwater-update status")

    @property
    def _python(self) -> str:
        return f"/usr/bin/python3 -I {self._program}"

    def _call(self, command: str, source: bytes = b"") -> Answer:
        return self._connection.run(f"{self._sudo}{self._python} {command}", source)

    def _need(self, answer: Answer) -> Answer:
        if answer.code != 0:
            lines = (answer.err or answer.out).strip().splitlines() or [f"exit code {answer.code}"]
            raise DeployError(lines[-1].removeprefix("headwater-update: "))
        return answer


def _json(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
