"""Device, mosquitto and relay as three processes, watched by clients that know nothing of Headwater."""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import cbor2
import numpy as np
import pytest
from numpy.typing import NDArray
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from boards.base import Channel, SourceRequest
from boards.simulated import SimulatedBoard
from tests.support.mosquitto import Mosquitto
from tests.support.ports import accepts, free_port
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until

SEED = 7
RATE = 500
SECONDS = 10

DEVICE = """
[device]
name = "bbb1"
[board]
seed = 7
[[stream]]
name = "ecg"
rate = 500
[[stream.channel]]
name = "lead_i"
input = "P9_39"
unit = "mV"
[[stream.channel]]
name = "respiration"
input = "P9_40"
"""


class Listener:
    """An independent subscriber: paho and cbor2, nothing of ours."""

    def __init__(self, port: int, topic: str) -> None:
        self.messages: queue.SimpleQueue[tuple[str, bytes, bool]] = queue.SimpleQueue()
        self._subscribed = False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = lambda _, __, m: self.messages.put((m.topic, bytes(m.payload), m.retain))
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = self._on_subscribe
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(lambda: self._subscribed, "the subscription")

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed = True

    def next(self) -> tuple[str, bytes, bool]:
        """Topic, payload and whether it was retained."""
        return self.messages.get(timeout=20)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


def start_device(broker: Mosquitto, folder: Path) -> HeadwaterProcess:
    config = folder / "device.toml"
    config.write_text(f'{DEVICE}\n[mqtt]\nurl = "{broker.url}"\n', encoding="utf-8")
    return HeadwaterProcess("run", str(config), state=folder)


def start_relay(broker: Mosquitto, folder: Path) -> tuple[HeadwaterProcess, int]:
    port = free_port()
    settings = ("--set", f"mqtt.url={broker.url}", "--set", f"relay.listen=127.0.0.1:{port}")
    relay = HeadwaterProcess("relay", *settings, state=folder)
    wait_until(lambda: accepts(port), "the relay")
    return relay, port


def samples(content: dict[str, Any]) -> NDArray[np.int16]:
    shape, elements = content["d"].value
    return np.frombuffer(elements.value, "<i2").reshape(shape)


def test_ten_seconds_arrive_complete_and_as_the_simulated_board_made_them(
    broker: Mosquitto, tmp_path: Path
) -> None:
    listener = Listener(broker.port, "headwater/bbb1/stream/ecg/batch")
    relay, _ = start_relay(broker, tmp_path)
    with relay, start_device(broker, tmp_path):
        content = [cbor2.loads(listener.next()[1]) for _ in range(SECONDS * 10)]
    listener.close()

    received = np.concatenate([samples(batch) for batch in content])
    ends = np.cumsum([samples(batch).shape[0] for batch in content])
    assert [batch["i"] for batch in content] == [0, *ends[:-1]]
    assert len({batch["e"] for batch in content}) == 1
    channels = (Channel("lead_i", "P9_39"), Channel("respiration", "P9_40"))
    request = SourceRequest(channels, Fraction(RATE))
    expected = SimulatedBoard({"seed": SEED}).expected(request, 0, SECONDS * RATE)
    np.testing.assert_array_equal(received, expected)


def test_status_meta_and_latest_are_retained_and_death_is_told(broker: Mosquitto, tmp_path: Path) -> None:
    with start_device(broker, tmp_path) as device:
        early = Listener(broker.port, "headwater/bbb1/stream/ecg/latest")
        assert set(json.loads(early.next()[1])["values"]) == {"lead_i", "respiration"}
        early.close()
        late = Listener(broker.port, "headwater/#")
        retained: dict[str, dict[str, Any]] = {}
        while len(retained) < 3:
            topic, payload, kept = late.next()
            if kept:
                retained[topic] = json.loads(payload)
        assert retained["headwater/bbb1/status"]["online"] is True
        assert retained["headwater/bbb1/stream/ecg/meta"]["rate"] == [RATE, 1]
        assert retained["headwater/bbb1/stream/ecg/meta"]["channels"][0]["unit"] == "mV"
        device.kill()
        last_will: dict[str, Any] = {}
        while last_will.get("online") is not False:
            topic, payload, _ = late.next()
            last_will = json.loads(payload) if topic == "headwater/bbb1/status" else {}
        assert last_will["reason"] == "connection lost"
        late.close()


def test_sigterm_sends_what_is_left_and_says_goodbye(broker: Mosquitto, tmp_path: Path) -> None:
    listener = Listener(broker.port, "headwater/bbb1/#")
    with start_device(broker, tmp_path) as device:
        device.wait_for("connected")
        assert device.terminate(10) == 0
    frames = 0
    status: dict[str, Any] = {}
    while status.get("online") is not False:
        topic, payload, _ = listener.next()
        if topic.endswith("/batch"):
            batch = cbor2.loads(payload)
            assert batch["i"] == frames
            frames += len(samples(batch))
        elif topic.endswith("/status"):
            status = json.loads(payload)
    assert status["reason"] == "stopped"
    assert frames > 0
    listener.close()


async def test_device_and_relay_come_back_when_the_broker_was_restarted(broker: Mosquitto, tmp_path: Path) -> None:
    relay, port = start_relay(broker, tmp_path)
    with relay, start_device(broker, tmp_path):
        url = f"http://127.0.0.1:{port}/api/v1/live?stream=bbb1/ecg"
        async with asyncio.timeout(60), aiohttp.ClientSession() as session, session.ws_connect(url) as live:
            before = await next_batch(live)
            await asyncio.to_thread(broker.kill)
            assert await next_note(live, "broker") == {"type": "broker", "connected": False}
            await asyncio.to_thread(broker.start)
            assert await next_note(live, "broker") == {"type": "broker", "connected": True}
            after = await next_batch(live)
            assert after["e"] == before["e"]
            assert after["i"] > before["i"]


async def next_batch(live: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    while (message := await live.receive()).type is not aiohttp.WSMsgType.BINARY:
        assert message.type is aiohttp.WSMsgType.TEXT
    content: dict[str, Any] = cbor2.loads(message.data)
    return content


async def next_note(live: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next control message of that kind that is news: the first one only says how things are."""
    while True:
        message = await live.receive()
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
        if message.type is aiohttp.WSMsgType.TEXT:
            content: dict[str, Any] = json.loads(message.data)
            if content["type"] == kind:
                return content
