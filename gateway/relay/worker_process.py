"""One worker as its parent sees it: the process that runs now, and what it said last."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable

from gateway.relay.worker import ERROR, Job

log = logging.getLogger(__name__)

START_S = 60.0
"""How long a worker may take to listen."""
STOP_S = 10.0
"""How long a worker may take to stop."""
MESSAGE_BYTES = 64 << 10


class WorkerProcess:
    """A worker through all its restarts."""

    def __init__(self, job: Job, on_change: Callable[[], None]) -> None:
        self.number = job.number
        self.name = f"worker {job.number}"
        self.ready = False
        """Whether it listens."""
        self.reloading = False
        self.status = ""
        self.error = ""
        """What the worker itself said of its end."""
        self._job = job
        self._on_change = on_change
        self._process: Process | None = None
        self._reload_later = False
        self._patience_ends = 0.0

    @property
    def pid(self) -> int | None:
        """The process's id; None if none runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    async def run(self) -> str:
        """Start a process and wait until it ends, and end it if that is cancelled; how it ended."""
        self._reset()
        self.error = ""
        loop = asyncio.get_running_loop()
        self._patience_ends = loop.time() + START_S
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with ours:
            with theirs:
                process = await self._start(theirs.fileno())
            self._process = process
            loop.add_reader(ours, self._listen, ours)
            try:
                await process.communicate(self._job.dump())
            finally:
                loop.remove_reader(ours)
                await _end(process)
                self._listen(ours)
                self._reset()
        return f"ended: {self.error}" if self.error else _how(process.returncode)

    def reload(self) -> None:
        """Have it read certificates and keys anew, or once it listens."""
        self._reload_later = not self.ready
        if self.ready:
            self.reloading = True
            self._send(signal.SIGHUP)

    def look_after(self) -> None:
        """Kill a process that makes no progress."""
        if self.pid is not None and asyncio.get_running_loop().time() > self._patience_ends:
            fields = {"event": "worker_hangs", "hangs": self.number}
            log.error("%s makes no progress; it is killed", self.name, extra=fields)
            self._send(signal.SIGKILL)

    async def _start(self, handle: int) -> Process:
        # a session of its own: Ctrl-C reaches the parent alone, which then stops the workers
        return await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "gateway.relay.worker", str(handle)],
            stdin=PIPE,
            pass_fds=[handle],
            start_new_session=True,
        )

    def _send(self, number: signal.Signals) -> None:
        if self.pid is not None and self._process is not None:
            self._process.send_signal(number)

    def _listen(self, socket_: socket.socket) -> None:
        try:
            while said := socket_.recv(MESSAGE_BYTES):
                self._hear(said.decode(errors="replace"))
        except OSError:  # nothing more for now, or it is gone
            return

    def _hear(self, said: str) -> None:
        name, _, value = said.partition("=")
        self._patience_ends = asyncio.get_running_loop().time() + self._job.watchdog_s
        if name == "STATUS":
            self.status = value
        elif said.startswith(ERROR):
            self.error = said.removeprefix(ERROR)
        elif said == "READY=1":
            self.ready, self.reloading = True, False
            if self._reload_later:
                self.reload()
            self._on_change()

    def _reset(self) -> None:
        self.ready = self.reloading = False
        self.status = ""
        self._on_change()


async def _end(process: Process) -> None:
    """Have it stop, if it has not; kill it if it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            log.warning("process %d does not stop; it is killed", process.pid)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
