"""One of several processes that serve the relay's ports together: `python -m gateway.relay.worker FD`.

Its parent writes the job to its standard input and hears of it what systemd would, over the socket FD. When the
parent is gone, so is the socket, and the worker stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from dataclasses import asdict, dataclass
from typing import Any

from gateway.config import RelayConfig, load_mapping
from gateway.errors import HeadwaterError
from gateway.logs import LogSettings, show_progress
from gateway.relay.loops import loop_factory
from gateway.relay.serving import serve
from gateway.stopping import stop_signal
from gateway.systemd import Notifier

ERROR = "X_ERROR="
"""What ended a worker, in addition to what systemd knows."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is to do."""

    number: int
    config: RelayConfig
    logs: LogSettings
    watchdog_s: float

    def dump(self) -> bytes:
        """As JSON; passwords and all, so that it is for a pipe only."""
        content = {
            "number": self.number,
            "config": self.config.model_dump(mode="json"),
            "logs": asdict(self.logs),
            "watchdog_s": self.watchdog_s,
        }
        return json.dumps(content).encode()

    @classmethod
    def load(cls, text: bytes) -> Job:
        """What `dump` made; raises ConfigError if files that the configuration names have gone meanwhile."""
        content: dict[str, Any] = json.loads(text)
        config = load_mapping(RelayConfig, content["config"], "configuration")
        return cls(content["number"], config, LogSettings(**content["logs"]), content["watchdog_s"])


class ParentNotifier(Notifier):
    """Tells the parent what systemd would be told."""

    def __init__(self, parent: socket.socket, watchdog_s: float) -> None:
        super().__init__({})
        self.watchdog_s = watchdog_s
        self._parent = parent

    def send(self, message: str) -> None:
        with contextlib.suppress(OSError):  # a parent that is gone or busy holds nothing up
            self._parent.send(message.encode())


def main() -> None:
    """Do the job; what cannot be done is told to the parent, which says it once for all."""
    parent = socket.socket(fileno=int(sys.argv[1]))
    parent.setblocking(False)
    try:
        job = Job.load(sys.stdin.buffer.read())
        job.logs.set_up(job.number)
        show_progress()
        with asyncio.Runner(loop_factory=loop_factory(job.config.relay.loop)) as runner:
            runner.run(_work(job, parent))
    except HeadwaterError as error:
        ParentNotifier(parent, 0).send(f"{ERROR}{error}")
        sys.exit(2)


async def _work(job: Job, parent: socket.socket) -> None:
    stopping = stop_signal()
    asyncio.get_running_loop().add_reader(parent, stopping.set)  # it says nothing, so that it can only be gone
    await serve(job.config, ParentNotifier(parent, job.watchdog_s), stopping, job.number)


if __name__ == "__main__":
    main()
