"""One board over OpenSSH, with the user's own configuration, agent and known hosts."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from deploy.rollout.errors import DeployError, Unreachable

CONNECT_S = 10
ALIVE_S = 5
HOST = re.compile(r"(?:ssh://)?[A-Za-z0-9_][A-Za-z0-9_.@:%\[\]-]*")
TRANSPORT_FAILED = 255
"""ssh's own exit code."""

COMPLAINTS = (
    ("IDENTIFICATION HAS CHANGED", "its host key is another one than before: if the board was set up anew, "
     "forget the old key with ssh-keygen -R, log in once by hand and compare the new one"),
    ("Host key verification failed", "its host key is not known here: log in by hand, compare the key, say yes"),
    ("Permission denied", "it lets nobody in with the keys there are: ssh-copy-id {host}, or ssh-add"),
    ("Could not resolve hostname", "there is no such name: check the spelling, or use the address"),
    ("timed out", "it does not answer: is it on, and in this network?"),
    ("No route to host", "there is no way there: is it on, and in this network?"),
    ("Connection refused", "it is there and takes no ssh connections: is its ssh server on?"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command on the board left."""

    code: int
    out: str
    err: str


class Connection:
    """A connection that all commands share; one that is lost is made anew by the next command."""

    def __init__(self, host: str, options: tuple[str, ...] = ()) -> None:
        """`options` are further ones of ssh(1)."""
        if not HOST.fullmatch(host):
            raise DeployError(f"{host!r} is no host: user@board, a name of ssh_config(5) or ssh://user@board:port")
        self.host = host
        self._folder = tempfile.TemporaryDirectory(prefix="headwater-ssh-")
        socket = Path(self._folder.name) / "control"
        alive = (f"ServerAliveInterval={ALIVE_S}", "ServerAliveCountMax=3")
        settings = ("BatchMode=yes", f"ConnectTimeout={CONNECT_S}", *alive, f"ControlPath={socket}")
        self._ssh = ["ssh", *options, *(part for setting in settings for part in ("-o", setting))]
        self._socket = socket
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Connect; raises Unreachable with what can be done about it."""
        complaint = Path(self._folder.name) / "complaint"
        with complaint.open("wb") as err:
            command = [*self._ssh, "-o", "ControlMaster=yes", "-N", self.host]
            self._master = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        deadline = time.monotonic() + 3 * CONNECT_S
        while not self._socket.exists():
            if self._master.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise Unreachable(explain(self.host, complaint_of(complaint)))
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._master is not None:
            self._master.terminate()
            self._master.wait()

    def run(self, command: str, source: bytes | IO[bytes] = b"", timeout_s: float = 120.0) -> Answer:
        """Run a shell command there; raises Unreachable if it cannot be."""
        whole = [*self._ssh, self.host, command]
        given, pipe = (source, None) if isinstance(source, bytes) else (None, source)
        try:
            done = subprocess.run(
                whole, input=given, stdin=pipe, capture_output=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(
                f"it did not finish within {timeout_s:g} s: {command.splitlines()[0][:60]}"
            ) from None
        answer = Answer(
            done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if answer.code == TRANSPORT_FAILED:
            raise Unreachable(explain(self.host, answer.err))
        return answer


def complaint_of(path: Path) -> str:
    """What ssh wrote; a temporary file of ours."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def explain(host: str, complaint: str) -> str:
    """What ssh's complaint means, and what to do. Pure."""
    for words, meaning in COMPLAINTS:
        if words in complaint:
            return meaning.format(host=host)
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    return f"ssh says: {lines[-1]}" if lines else "the connection was lost"
