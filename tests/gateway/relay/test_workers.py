"""Several workers of one relay: real processes on one port, one of which may be killed."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from gateway.codec import CODECS
from gateway.config import RelayConfig, load_mapping
from gateway.errors import ConfigError, ListenError
from gateway.logs import LogSettings
from gateway.relay.workers import Workers, check
from gateway.systemd import Notifier
from gateway.topics import Topics
from tests.gateway.relay.conftest import Viewer
from tests.gateway.relay.crew import START_S, Crew, local_port
from tests.support.messages import batch
from tests.support.mosquitto import Mosquitto
from tests.support.notifications import Notifications
from tests.support.peer import Peer
from tests.support.ports import accepts, free_port
from tests.support.waiting import eventually, wait_until

BATCH = Topics().batch("bbb1", "ecg")
VIEWERS = 20


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Notifications]:
    with Notifications(tmp_path / "notify") as listener:
        yield listener


@asynccontextmanager
async def publishing(device: Peer) -> AsyncIterator[None]:
    """Batches of ten frames, one after the other; at the end one of a single frame."""
    enough = asyncio.Event()

    async def publish() -> None:
        index = 0
        while not enough.is_set():
            await asyncio.to_thread(device.publish, BATCH, CODECS["cbor"].encode(batch(index, 10)))
            index += 10
            await asyncio.sleep(0.005)
        await asyncio.to_thread(device.publish, BATCH, CODECS["cbor"].encode(batch(index, 1)))

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        enough.set()
        await task


async def read_all(viewer: Viewer) -> list[int]:
    """The first indices of the batches that came."""
    came: list[int] = []
    while True:
        message = CODECS["cbor"].decode(await viewer.data())
        came.append(message.index)
        if message.end == message.index + 1:
            return came


async def test_a_worker_that_is_killed_comes_back_and_the_subscribers_of_the_others_do_not_notice(
    tmp_path: Path, mosquitto: Mosquitto, device: Peer
) -> None:
    async with Crew(tmp_path, mosquitto.url) as crew:
        await crew.connected()
        viewers = [await crew.watch("bbb1/ecg") for _ in range(VIEWERS)]
        listing = await crew.ask_all("/api/v1/subscribers")
        assert sum(len(answer["subscribers"]) for answer in listing.values()) == VIEWERS
        assert all(answer["subscribers"] for answer in listing.values()), "all with one worker: 1 in 500 000"

        victim = crew.worker_of(local_port(viewers[0]))
        theirs = [viewer for viewer in viewers if crew.worker_of(local_port(viewer)) == victim]
        others = [viewer for viewer in viewers if viewer not in theirs]
        readers = [asyncio.create_task(read_all(viewer)) for viewer in others]
        async with publishing(device):
            await theirs[0].data()
            victim.kill()
            for viewer in theirs:
                while (message := await viewer.socket.receive()).type is aiohttp.WSMsgType.BINARY:
                    pass
                assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            await crew.connected()
            assert len(crew.workers) == 2
            assert "was ended by SIGKILL; it is started again in" in crew.process.err
        for reader in readers:
            came = await reader
            assert len(came) > 1
            assert came == list(range(came[0], came[-1] + 1, 10)), "each batch, once, in order"
        again = [await crew.watch("bbb1/ecg") for _ in range(VIEWERS)]
        assert {crew.worker_of(local_port(viewer)).pid for viewer in again} == {w.pid for w in crew.workers}
        assert "already connected" not in mosquitto.log, "each worker has a name of its own at the broker"
        kept = tmp_path / "headwater" / f"relay-{crew.port}"
        assert {path.name for path in kept.iterdir()} == {"history", "history-1"}


async def test_systemd_hears_of_all_workers_and_a_stop_tells_every_subscriber_to_come_back(
    tmp_path: Path, mosquitto: Mosquitto, manager: Notifications
) -> None:
    async with Crew(tmp_path, mosquitto.url, environment=manager.environment(1.0)) as crew:
        await crew.connected()
        before = await asyncio.to_thread(manager.wait_for, "READY=1")
        assert all(said.startswith(("STATUS=", "WATCHDOG=1")) for said in before)
        viewers = [await crew.watch("bbb1/ecg") for _ in range(VIEWERS)]
        workers = crew.workers
        assert len(workers) == 2
        await asyncio.to_thread(manager.wait_for, "STATUS=worker 0: 1 of 1 brokers, ")
        await asyncio.to_thread(manager.wait_for, "WATCHDOG=1")
        crew.process.send(signal.SIGHUP)
        await asyncio.to_thread(manager.wait_for, "RELOADING=1")
        await asyncio.to_thread(manager.wait_for, "READY=1")
        assert crew.process.err.count("are read anew") == 2

        crew.process.send(signal.SIGTERM)
        for viewer in viewers:
            while (message := await viewer.socket.receive(20)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.SERVICE_RESTART)
        assert await asyncio.to_thread(crew.process.wait) == 0
        assert not any(worker.is_running() for worker in workers)
        assert "STOPPING=1" in manager.forget()
        assert "Traceback" not in crew.process.err
        assert "ERROR" not in crew.process.err


async def test_tcp_is_served_by_all_zeromq_by_the_first_and_nothing_once_the_parent_is_gone(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    port = free_port()
    outlets = [
        f'{{type="tcp",listen="127.0.0.1:{port}",stream="bbb1/ecg"}}',
        f'{{type="zmq",bind="tcp://127.0.0.1:{free_port()}",stream="bbb1/ecg"}}',
    ]
    async with Crew(tmp_path, mosquitto.url, f"outlet=[{','.join(outlets)}]") as crew:
        await crew.connected()
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(VIEWERS)]
        for reader, _ in clients:
            assert b'"stream": "bbb1/ecg"' in await reader.readline()
        listing = await crew.ask_all("/api/v1/subscribers")
        assert all(answer["subscribers"] for answer in listing.values())
        for _, writer in clients:
            writer.close()

        workers = crew.workers
        crew.process.kill()
        await asyncio.to_thread(psutil.wait_procs, workers, 20)
        assert not any(worker.is_running() for worker in workers), "they end once their parent is gone"
        assert not await asyncio.to_thread(accepts, port)


async def test_what_only_a_worker_finds_is_said_once_and_leaves_nothing_running(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        async with Crew(tmp_path, mosquitto.url, f'outlet=[{{type="zmq",bind="{bind}",stream="a/b"}}]') as crew:
            assert await asyncio.to_thread(crew.process.wait, START_S) == 2
            assert not await asyncio.to_thread(accepts, crew.port)
            assert crew.process.err.count("cannot listen") == 1
            assert f"headwater: outlet.bind: cannot listen on {bind}: Address already in use" in crew.process.err
            assert "Traceback" not in crew.process.err


def content(port: int, **settings: object) -> dict[str, object]:
    """A configuration for two workers; no broker is there."""
    return {
        "relay": {"listen": f"127.0.0.1:{port}", "workers": 2},
        "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
        **settings,
    }


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_somebody_else_has_is_found_before_anything_is_started(shared: bool) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=shared) as taken:
        port = taken.getsockname()[1]
        where = f"cannot listen on 127.0.0.1:{port}: Address already in use"
        with pytest.raises(ListenError, match=f"^relay.listen: {where}$"):
            check(load_mapping(RelayConfig, content(port), "test"))
        outlet = {"type": "tcp", "listen": f"127.0.0.1:{port}", "stream": "a/b"}
        with pytest.raises(ListenError, match=f"^outlet.listen: {where}$"):
            check(load_mapping(RelayConfig, content(free_port(), outlet=[outlet]), "test"))


def test_a_secret_that_is_too_short_is_found_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short")
    with pytest.raises(ConfigError, match="a secret must have at least 32 bytes, not 5"):
        check(load_mapping(RelayConfig, content(free_port(), auth={"secret_file": f"{tmp_path}/secret"}), "test"))


async def test_a_worker_that_hangs_is_killed_and_one_that_cannot_start_is_tried_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The parent is this process."""
    secret = tmp_path / "secret"
    secret.write_text("x" * 32)
    config = load_mapping(RelayConfig, content(free_port(), auth={"secret_file": str(secret)}), "test")
    parent = Workers(config, LogSettings(), Notifier({}), watchdog_s=4.0)
    first, second = parent.workers
    stopping = asyncio.Event()
    running = asyncio.create_task(parent.run(stopping))
    await eventually(lambda: running.done() or (first.ready and second.ready), "the workers", START_S)
    pid, other = first.pid, second.pid
    assert pid is not None
    secret.write_text("short")
    psutil.Process(pid).suspend()
    await eventually(lambda: "worker 0 ended: " in caplog.text, "an attempt", START_S)
    assert "worker 0 makes no progress; it is killed" in caplog.text
    assert "worker 0 was ended by SIGKILL" in caplog.text
    assert "a secret must have at least 32 bytes, not 5" in caplog.text
    assert parent.alive()
    secret.write_text("x" * 32)
    await eventually(lambda: first.ready, "the worker", START_S)
    assert second.pid == other, "the other went on"
    stopping.set()
    await running


def test_a_stop_while_workers_start_is_clean(tmp_path: Path, mosquitto: Mosquitto) -> None:
    crew = Crew(tmp_path, mosquitto.url)
    with crew.process as process:
        wait_until(lambda: crew.workers or not process.running, "a worker")
        assert process.terminate() == 0
        assert "Traceback" not in process.err
