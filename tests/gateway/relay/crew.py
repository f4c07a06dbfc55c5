"""A relay of several workers in real processes, and what its clients see of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import psutil

from tests.gateway.relay.conftest import Viewer
from tests.support.ports import free_port
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import PATIENCE_S

START_S = 60.0
"""How long several processes may take to start on a busy machine."""


class Crew:
    """`headwater relay --workers 2`, or more."""

    def __init__(
        self,
        folder: Path,
        broker: str,
        *settings: str,
        count: int = 2,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.count = count
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        overrides = (f"mqtt.url={broker}", f"relay.listen=127.0.0.1:{self.port}", *settings)
        self.process = HeadwaterProcess(
            "relay",
            "--workers",
            str(count),
            *[word for override in overrides for word in ("--set", override)],
            state=folder,
            environment=environment,
        )
        self._parent = psutil.Process(self.process.pid)
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Each request has a connection of its own, so that any worker may answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))
        return self._session

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes."""
        return [child for child in self._parent.children() if child.status() != psutil.STATUS_ZOMBIE]

    def worker_of(self, port: int) -> psutil.Process:
        """The process that serves the client with this port."""
        for worker in self.workers:
            if any(c.raddr and c.raddr.port == port for c in worker.net_connections("tcp")):
                return worker
        raise AssertionError(f"nobody serves a client with port {port}")

    async def ask_all(self, path: str) -> dict[int, dict[str, Any]]:
        """What each worker answers, by its number."""
        answers: dict[int, dict[str, Any]] = {}
        async with asyncio.timeout(START_S):
            while len(answers) < self.count:
                try:
                    async with self.session.get(self.url + path) as response:
                        answer = await response.json()
                        answers[answer["worker"]] = answer
                except aiohttp.ClientConnectionError:  # it was with a worker that has gone
                    await asyncio.sleep(0.01)
        return answers

    async def connected(self) -> None:
        """Wait until each worker is connected to the broker."""
        async with asyncio.timeout(START_S):
            while not all(answer["broker"] for answer in (await self.ask_all("/healthz")).values()):
                await asyncio.sleep(0.05)

    async def watch(self, stream: str) -> Viewer:
        """Open `/api/v1/live`."""
        viewer = Viewer(await self.session.ws_connect(f"{self.url}/api/v1/live?stream={stream}"))
        await viewer.told("subscribed")
        return viewer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        workers = self.workers if self.process.running else []
        if self._session is not None:
            await self._session.close()
        self.process.__exit__(None, None, None)
        for worker in workers:  # they end by themselves once their parent is gone; that is another test's
            worker.kill()
        await asyncio.to_thread(psutil.wait_procs, workers, PATIENCE_S)


def local_port(viewer: Viewer) -> int:
    """The client's port."""
    port: int = viewer.socket.get_extra_info("sockname")[1]
    return port
