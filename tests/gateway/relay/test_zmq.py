"""The ZeroMQ outlet, read by mflow's own receiver and its own command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any, Self

import mflow
import numpy as np
import pytest

from gateway.config import RelayConfig, ZmqSettings, load_mapping
from gateway.errors import ConfigError, ListenError
from gateway.model import Gap, Message
from gateway.relay.core import Core
from gateway.relay.delivery import Delivery
from gateway.relay.outlets.zmq import QUEUE_MESSAGES, ZmqOutlet
from tests.support.messages import batch
from tests.support.ports import free_port
from tests.support.processes import RunningProcess
from tests.support.waiting import eventually

STREAM = "bbb1/ecg"


class Yard:
    """An outlet, and what is published to it; no broker is needed."""

    def __init__(self, mode: str, every: int = 1, queue: int = 1 << 20) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.core = Core(load_mapping(RelayConfig, {"relay": {"queue": queue}}, "test"))
        settings = {"type": "zmq", "bind": self.address, "stream": STREAM, "mode": mode, "every": every}
        self.outlet = ZmqOutlet(self.core, ZmqSettings.model_validate(settings))

    async def __aenter__(self) -> Self:
        await self.outlet.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.outlet.close()

    def publish(self, *messages: Message) -> None:
        for message in messages:
            self.core.hub.publish(STREAM, Delivery.of(message))


async def receive(stream: Any) -> Any:
    """mflow's next message, in a thread: it blocks."""
    return await asyncio.to_thread(stream.receive)


@pytest.fixture
async def push() -> AsyncIterator[Yard]:
    async with Yard("push") as yard:
        yield yard


async def test_mflow_s_receiver_reads_batches_and_finds_gaps_beside_them(push: Yard) -> None:
    stream = mflow.connect(push.address, mode=mflow.PULL, receive_timeout=10_000)
    push.publish(batch(0, 10, columns=2), Gap(1, 10, 5, "overrun"), batch(15, 5, columns=2))
    first, second = await receive(stream), await receive(stream)
    stream.disconnect()
    assert np.array_equal(first.data["data"][0], batch(0, 10, columns=2).data)
    assert first.data["data"][0].dtype == np.int16
    header = first.data["header"]
    assert (header["htype"], header["shape"], header["frame"], header["source"]) == (
        "array-1.0",
        [10, 2],
        0,
        STREAM,
    )
    assert (header["epoch"], header["index"], header["gaps"]) == (1, 0, [])
    header = second.data["header"]
    assert (header["frame"], header["index"]) == (1, 15)
    assert header["gaps"] == [{"epoch": 1, "index": 10, "count": 5, "reason": "overrun"}]
    assert header["gaps_complete"]


async def test_nobody_there_costs_no_more_than_the_bound_and_is_told_all(push: Yard) -> None:
    count = 10 * QUEUE_MESSAGES
    for number in range(count):
        push.publish(batch(number * 1000, 1000, columns=8))
    assert push.outlet.subscriber.queued_bytes <= 1 << 20
    stream = mflow.connect(push.address, mode=mflow.PULL, receive_timeout=10_000, queue_size=5)
    index, lost = 0, 0
    while index < count * 1000:
        header = (await receive(stream)).data["header"]
        for gap in header["gaps"]:
            assert (gap["index"], gap["reason"]) == (index, "slow")
            index += gap["count"]
            lost += gap["count"]
        assert header["index"] == index
        index += header["shape"][0]
    stream.disconnect()
    assert lost > 0


async def test_every_nth_message_is_sent_whole() -> None:
    async with Yard("push", every=3) as yard:
        stream = mflow.connect(yard.address, mode=mflow.PULL, receive_timeout=10_000)
        yard.publish(*(batch(number * 10, 10) for number in range(9)))
        headers = [(await receive(stream)).data["header"] for _ in range(3)]
        stream.disconnect()
    assert [(header["index"], header["frame"], header["shape"]) for header in headers] == [
        (0, 0, [10, 1]),
        (30, 1, [10, 1]),
        (60, 2, [10, 1]),
    ]


async def test_mflow_s_own_command_reads_the_outlet() -> None:
    async with Yard("pub") as yard:
        command = [sys.executable, "-u", "-m", "mflow.cli.stats", yard.address, "-m", "sub", "-i", "0.1"]
        number = 0
        with RunningProcess(command) as stats:

            def counted() -> bool:
                nonlocal number
                yard.publish(batch(number * 10, 10))
                number += 1
                rates = [line.split()[-2] for line in stats.out.splitlines() if "Message rate" in line]
                return any(float(rate) > 0 for rate in rates)

            await eventually(counted, "mflow's statistics")


async def test_an_address_that_is_taken_is_named(push: Yard) -> None:
    settings = ZmqSettings(type="zmq", bind=push.address, stream=STREAM)
    outlet = ZmqOutlet(push.core, settings)
    with pytest.raises(ListenError, match=push.address):
        await outlet.open()
    outlet.close()


@pytest.mark.parametrize(
    ("outlet", "complaint"),
    [
        ({"bind": "127.0.0.1:9999"}, "must be tcp://address:port"),
        ({"stream": "ecg"}, "must be 'device/stream'"),
        ({"every": 0}, "every"),
        ({"mode": "pull"}, "mode"),
        ({"bind": "tcp://0.0.0.0:9999"}, "ZeroMQ has no login"),
        ({"bind": "tcp://*:9999"}, "ZeroMQ has no login"),
    ],
)
def test_what_makes_no_sense_is_refused(outlet: dict[str, Any], complaint: str) -> None:
    content = {"type": "zmq", "bind": "tcp://127.0.0.1:9999", "stream": STREAM, **outlet}
    with pytest.raises(ConfigError, match=complaint):
        load_mapping(RelayConfig, {"outlet": [content]}, "test")
